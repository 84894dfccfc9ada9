"""Requests from the wire: what cannot be parsed is a mistake, what is large stalls nobody.

Protobuf keeps the interpreter while it parses: 16 MiB of small elements would take it for seconds.
A large request is parsed in pieces, so that whoever waits meanwhile waits for one of them only.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message
from longtail.runtime.errors import InvalidArgument, Violation

Parse = Callable[[bytes], Message]

# What is parsed in one go; at most 5 ms, when every two bytes are an element of their own.
PIECE_BYTES = 128 * 1024
# No repeated field of our contracts takes more elements, and no map as many entries.
MAX_ELEMENTS, MAX_ENTRIES = 1000, 10_000
# Tags among the bytes of a message that is parsed in one go: with more of them than there are in a
# list of MAX_ELEMENTS, each of several fields, its fields are counted.
MANY_TAGS = 4 * MAX_ELEMENTS
# The longest string is a page token. Of an item's attributes, the only map, 16 KiB of JSON come in
# less than a piece.
MAX_STRING_BYTES = 4 * 2**20

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_MAX_VARINT_BYTES = 10


def parse(from_string: Parse, content: bytes) -> Message:
    """Return the message in `content`; `from_string` is that of its class.

    Raises InvalidArgument when it cannot be parsed, and, before it is, when it is large and holds
    more elements, or larger ones, than any field takes.
    """
    try:
        if len(content) <= PIECE_BYTES:
            return from_string(content)
        message: Message = from_string(b"")
        _merge(message, content, 0, len(content))
    except DecodeError as error:
        raise InvalidArgument(Violation("request", f"cannot be parsed ({error})")) from None
    return message


def _merge(message: Any, content: bytes, begin: int, end: int, path: str = "") -> None:  # noqa: ANN401
    """Merge `content[begin:end]` into `message`, of any type; `path` leads to its fields."""
    descriptor = message.DESCRIPTOR
    counts: Counter[int] = Counter()
    # What was passed and is still to be merged begins here.
    pending = begin
    for number, start, body, stop in _fields(content, begin, end, descriptor.full_name):
        counts[number] += 1
        field = descriptor.fields_by_number.get(number)
        _check_count(field, counts[number], path)
        if stop - start <= PIECE_BYTES:
            if field is not None and field.message_type is not None:
                inside = _inside(field, counts[number], path)
                _check_inside(field.message_type, content, body, stop, inside)
            if stop - pending > PIECE_BYTES:
                message.MergeFromString(content[pending:start])
                pending = start
            continue
        message.MergeFromString(content[pending:start])
        if field is None or field.message_type is None or _is_map(field):
            _check_size(field, stop - start, path)
            message.MergeFromString(content[start:stop])
        else:
            inside = _inside(field, counts[number], path)
            _merge(_part(message, field), content, body, stop, inside)
        pending = stop
    message.MergeFromString(content[pending:end])


def _check_inside(descriptor: Descriptor, content: bytes, begin: int, end: int, path: str) -> None:
    """Refuse many more elements than a field takes within what is parsed in one go."""
    # An element has its tag and at least one byte more. To look for a byte takes a thousandth of
    # the time that it takes to read fields, so these are read only where they may be too many.
    if end - begin <= 2 * MANY_TAGS or not any(
        content.count(tag, begin, end) > MANY_TAGS for tag in _element_tags(descriptor)
    ):
        return
    counts: Counter[int] = Counter()
    for number, _, body, stop in _fields(content, begin, end, descriptor.full_name):
        counts[number] += 1
        field = descriptor.fields_by_number.get(number)
        _check_count(field, counts[number], path)
        if field is not None and field.message_type is not None:
            inside = _inside(field, counts[number], path)
            _check_inside(field.message_type, content, body, stop, inside)


@cache
def _element_tags(descriptor: Descriptor) -> frozenset[int]:
    """Return the first bytes of the tags of all repeated fields in a message, at any depth.

    Those of attributes are left out: 16 KiB of JSON hold more elements than any field of ours.
    """
    tags: set[int] = set()
    if descriptor.file.package.startswith("google."):
        return frozenset()
    for field in descriptor.fields:
        if field.is_repeated:
            tags.add(_first_byte(field.number << 3 | _LENGTH))
        if field.message_type is not None:
            tags |= _element_tags(field.message_type)
    return frozenset(tags)


def _first_byte(varint: int) -> int:
    return varint if varint < 0x80 else varint & 0x7F | 0x80


def _fields(content: bytes, at: int, end: int, name: str) -> Iterator[tuple[int, int, int, int]]:
    """Yield number, start, start of the value and end of each field of a message on the wire."""
    while at < end:
        start = at
        tag, at = _varint(content, at, name)
        kind = tag & 7
        if kind == _LENGTH:
            length, at = _varint(content, at, name)
            stop = at + length
        elif kind == _VARINT:
            _, stop = _varint(content, at, name)
        elif kind in (_FIXED64, _FIXED32):
            stop = at + (8 if kind == _FIXED64 else 4)
        else:
            raise DecodeError(f"Error parsing message with type '{name}'")
        if stop > end:
            raise DecodeError(f"Error parsing message with type '{name}'")
        yield tag >> 3, start, at, stop
        at = stop


def _varint(content: bytes, at: int, name: str) -> tuple[int, int]:
    value = 0
    for shift, byte in enumerate(content[at : at + _MAX_VARINT_BYTES]):
        value |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return value, at + shift + 1
    raise DecodeError(f"Error parsing message with type '{name}'")


def _part(message: Any, field: FieldDescriptor) -> Any:  # noqa: ANN401
    if field.is_repeated:
        return getattr(message, field.name).add()
    part = getattr(message, field.name)
    part.SetInParent()
    return part


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _check_count(field: FieldDescriptor | None, count: int, path: str) -> None:
    repeated = field is not None and field.is_repeated and not _is_map(field)
    limit = MAX_ELEMENTS if repeated else MAX_ENTRIES
    if count > limit:
        raise InvalidArgument(Violation(_name(field, path), f"holds over {limit} elements"))


def _check_size(field: FieldDescriptor | None, size: int, path: str) -> None:
    limit = PIECE_BYTES if field is not None and _is_map(field) else MAX_STRING_BYTES
    if size > limit:
        raise InvalidArgument(Violation(_name(field, path), f"is over {limit} bytes"))


def _name(field: FieldDescriptor | None, path: str) -> str:
    if field is None:
        return path.removesuffix(".") or "request"
    return path + field.name


def _inside(field: FieldDescriptor, count: int, path: str) -> str:
    """Return the path of what is inside a field that came for the `count`-th time."""
    element = f"[{count - 1}]" if field.is_repeated and not _is_map(field) else ""
    return f"{path}{field.name}{element}."
