"""Hostile requests for every method of a server: well-formed nonsense, and bytes that are none.

Each is drawn by its number alone, so that one which breaks something can be made again.
"""

import math
import random
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

DEPTH, NODES = 5, 2_500
# Of a field: that it is set at all, and that what it gets is hostile rather than plausible.
SET, HOSTILE = 0.6, 0.35
# Stands in a string for what protobuf would not write.
_PLACE = "\x01PLACE\x02"
_NOT_UTF8 = [b"\xff" * 7, b"\xed\xa0\x80abcd", b"\xc0\xaf\xc0\xafab\xe6", b"\xf5\x80\x80\x80\x00ab"]

_STRINGS = (
    "",
    " ",
    "\0",
    "x" * 300,
    "y" * 25_000,
    "\N{GRINNING FACE}" * 2_000,
    "e" + "\u0301" * 500,
    "\u202e\u200b\ufeff",
    "'; DROP TABLE items; --",
    "../../../../etc/passwd",
    "%s%n{0}{x}${y}",
    "[CLS] [MASK]",
    "-1",
    "1e400",
    "nan",
    "2020-13-45",
    '{"a": [',
    "attributes.",
    "attributes.a.b",
    "*",
    "<script>",
    "\r\nset-cookie: a",
    _PLACE,
)
_DOUBLES = (0.0, -0.0, -1.0, 1.0, 1e-320, 1e308, -1e308, math.inf, -math.inf, math.nan, 0.5)
_FLOATS = (0.0, -1.0, 1.0, 3e38, math.inf, math.nan)
_INTEGERS = (0, 1, -1, 2, 10, 100, 101, 1000, 2**31 - 1, -(2**31), 2**32 - 1, 2**63 - 1, -(2**63))
_ENUMS = (0, 1, 2, 3, 99, -1, 2**31 - 1, -(2**31))

Content = bytes
Mutation = Callable[[random.Random, bytes], bytes]


@dataclass(frozen=True)
class Hostile:
    """A call: the messages that are sent, and how."""

    method: str
    contents: Sequence[Content]
    metadata: tuple[tuple[str, str | bytes], ...]
    timeout: float
    compression: grpc.Compression
    # Given up after so many seconds.
    cancelled: float | None


@dataclass
class Grammar:
    """Makes messages of any type. `known` are words that mean something to the server."""

    known: list[str]
    _words: dict[str, list[str]] = field(default_factory=dict)
    # Messages that the one being made may still have in it.
    _left: int = 0

    def note(self, answer: Message) -> None:
        """Remember ids and tokens of an answer, by which more is reached."""
        for name, value in _strings(answer):
            words = self._words.setdefault(name, [])
            if value and len(words) < 200:
                words.append(value)

    def message(self, rng: random.Random, descriptor: Descriptor, depth: int = 0) -> Message:
        """Return a message that protobuf can write, of values that it should not have."""
        message: Message = GetMessageClass(descriptor)()
        self._left = self._left - 1 if depth else NODES
        if depth > DEPTH or self._left < 0:
            return message
        for each in descriptor.fields:
            if rng.random() < (SET if depth else 0.8):
                self._fill(rng, message, each, depth)
        return message

    def _fill(
        self, rng: random.Random, message: Message, each: FieldDescriptor, depth: int
    ) -> None:
        value: Any = getattr(message, each.name)
        kind = each.message_type
        if kind is not None and kind.GetOptions().map_entry:
            of_map = kind.fields_by_name["value"]
            for _ in range(rng.choice((1, 2, 5))):
                key = self._scalar(rng, kind.fields_by_name["key"])
                if of_map.message_type is None:
                    value[key] = self._scalar(rng, of_map)
                else:
                    value[key].CopyFrom(self.message(rng, of_map.message_type, depth + 1))
        elif each.is_repeated:
            for _ in range(rng.choice((1,) * 8 + (2, 3, 3, 20, 1100 if depth < 2 else 30))):
                if kind is None:
                    value.append(self._scalar(rng, each))
                elif rng.random() < 0.5 and len(value):
                    value.add().CopyFrom(value[0])
                else:
                    value.add().CopyFrom(self.message(rng, kind, depth + 1))
        elif kind is not None:
            value.CopyFrom(self.message(rng, kind, depth + 1))
        else:
            setattr(message, each.name, self._scalar(rng, each))

    def _scalar(self, rng: random.Random, each: FieldDescriptor) -> Any:  # noqa: ANN401
        hostile = rng.random() < HOSTILE
        if each.type == FieldDescriptor.TYPE_STRING:
            words = [*self.known, *self._words.get(each.name, ())]
            return rng.choice(_STRINGS if hostile else words)
        if each.type == FieldDescriptor.TYPE_BYTES:
            if hostile:
                return rng.randbytes(rng.choice((0, 1, 3, 4, 1535, 1536, 5000)))
            numbers = [rng.choice((*_FLOATS, 0.5, 0.1)) for _ in range(384)]
            return struct.pack("<384f", *numbers)
        if each.type == FieldDescriptor.TYPE_BOOL:
            return rng.random() < 0.5
        if each.type == FieldDescriptor.TYPE_ENUM:
            kind: Any = each.enum_type
            return rng.choice(_ENUMS if hostile else [value.number for value in kind.values])
        if each.type == FieldDescriptor.TYPE_DOUBLE:
            return rng.choice(_DOUBLES) if hostile else rng.random()
        if each.type == FieldDescriptor.TYPE_FLOAT:
            return rng.choice(_FLOATS)
        whole = rng.choice(_INTEGERS) if hostile else rng.randrange(1, 20)
        return _within(whole, each)


def methods(services: Sequence[str]) -> list[MethodDescriptor]:
    """Return all methods of services, by their full names."""
    pool = descriptor_pool.Default()
    return [method for name in services for method in pool.FindServiceByName(name).methods]


def draw(rng: random.Random, grammar: Grammar, path: str, method: MethodDescriptor) -> Hostile:
    """Return a call of a method, which stands under `path`."""
    count = rng.choice((1,) * 12 + (0, 2, 3))
    contents = [_content(rng, grammar, method.input_type) for _ in range(count)]
    timeout = rng.choice((10.0,) * 12 + (1e-6, 0.001, 0.02, 1e9, 30.0))
    compression = rng.choice(
        (grpc.Compression.NoCompression,) * 6 + (grpc.Compression.Gzip, grpc.Compression.Deflate)
    )
    cancelled = rng.choice((None,) * 12 + (0.0, 0.005))
    return Hostile(path, contents, _metadata(rng), timeout, compression, cancelled)


def _content(rng: random.Random, grammar: Grammar, descriptor: Descriptor) -> Content:
    kind = rng.random()
    if kind < 0.05:
        return rng.randbytes(rng.choice((1, 2, 10, 200, 5000)))
    content = grammar.message(rng, descriptor).SerializeToString()
    content = content.replace(_PLACE.encode(), rng.choice(_NOT_UTF8)[:7].ljust(7, b"\xff"))
    if kind < 0.4:
        for _ in range(rng.choice((1, 1, 2, 4))):
            content = rng.choice(_MUTATIONS)(rng, content)
    return content


def _cut(rng: random.Random, content: bytes) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _flipped(rng: random.Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 3, 10))):
        if changed:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _noise_within(rng: random.Random, content: bytes) -> bytes:
    place = rng.randrange(len(content) + 1)
    return content[:place] + rng.randbytes(rng.randrange(1, 30)) + content[place:]


def _twice(_: random.Random, content: bytes) -> bytes:
    # Fields that may be there once are there twice, and oneofs have two of theirs.
    return content + content


def _unknown(rng: random.Random, content: bytes) -> bytes:
    number = rng.choice((15, 100, 19_500, 2**29 - 1))
    length = rng.randrange(40)
    return content + _varint(number << 3 | 2) + _varint(length) + rng.randbytes(length)


def _other_type(rng: random.Random, content: bytes) -> bytes:
    # A field of another wire type than it has, groups that never end among them.
    tag = _varint(rng.randrange(1, 20) << 3 | rng.choice((0, 1, 3, 4, 5, 6, 7)))
    return content + tag + rng.randbytes(rng.choice((0, 1, 4, 8)))


def _deep(rng: random.Random, content: bytes) -> bytes:
    number, inner = rng.randrange(1, 13), b""
    for _ in range(rng.choice((30, 101, 1000))):
        inner = _varint(number << 3 | 2) + _varint(len(inner)) + inner
    return content + inner


def _many(rng: random.Random, content: bytes) -> bytes:
    return content + _varint(rng.randrange(1, 13) << 3 | 2) + b"\0" * rng.choice((1, 1_000))


def _endless(rng: random.Random, content: bytes) -> bytes:
    return content + b"\xff" * rng.choice((1, 9, 10, 11, 100))


def _elements(rng: random.Random, content: bytes) -> bytes:
    return content + (_varint(rng.randrange(1, 4) << 3 | 2) + b"\0") * rng.choice((1_001, 50_000))


_MUTATIONS: tuple[Mutation, ...] = (
    _cut,
    _flipped,
    _flipped,
    _noise_within,
    _twice,
    _unknown,
    _other_type,
    _deep,
    _many,
    _endless,
    _elements,
)


def _metadata(rng: random.Random) -> tuple[tuple[str, str | bytes], ...]:
    if rng.random() < 0.8:
        return ()
    return rng.choice(
        (
            (("authorization", "Bearer "),),
            (("authorization", "Basic eDp5"), ("authorization", "Bearer longtail_x")),
            (("authorization", "Bearer longtail_" + "x" * 2_000),),
            (("noise-bin", rng.randbytes(rng.randrange(300))),),
            (("grpc-status-details-bin", rng.randbytes(20)),),
            (("x-request-id", "%0d%0a" * 50),),
            tuple((f"x-{number}", "y" * 50) for number in range(40)),
        )
    )


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _within(value: int, each: FieldDescriptor) -> int:
    unsigned = each.cpp_type in (FieldDescriptor.CPPTYPE_UINT32, FieldDescriptor.CPPTYPE_UINT64)
    wide = each.cpp_type in (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64)
    bits = 64 if wide else 32
    least, most = (0, 2**bits - 1) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return int(min(max(value, least), most))


def _strings(message: Message) -> Iterator[tuple[str, str]]:
    for each, value in message.ListFields():
        if each.message_type is not None and not each.message_type.GetOptions().map_entry:
            for part in value if each.is_repeated else [value]:
                yield from _strings(part)
        elif each.type == FieldDescriptor.TYPE_STRING and not each.is_repeated:
            yield each.name.removeprefix("next_"), value
