"""Requests from the wire: parsed in pieces they are what they are parsed at once."""

import random
from collections.abc import Callable
from typing import cast

import pytest
from google.protobuf.message import DecodeError, Message
from longtail.runtime.errors import InvalidArgument
from longtail.runtime.parsing import (
    MAX_ELEMENTS,
    MAX_ENTRIES,
    MAX_STRING_BYTES,
    PIECE_BYTES,
    parse,
)
from longtail.v1 import embedding_service_pb2, filter_pb2, item_pb2
from longtail.v1 import item_service_pb2 as items_pb
from longtail.v1 import recommendation_service_pb2 as pb

EMPTY = b"\x0a\x00"


class Noting:
    """A message that notes how much of it is parsed at a time."""

    def __init__(self, message: Message) -> None:
        self.message = message
        self.largest = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self.message, name)

    def MergeFromString(self, content: bytes) -> int:  # noqa: N802 (protobuf's)
        self.largest = max(self.largest, len(content))
        return self.message.MergeFromString(content)


def inside(number: int, content: bytes) -> bytes:
    """Return the field `number` on the wire, with `content` for a message."""
    length, varint = len(content), bytearray()
    while length >= 0x80:
        varint.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([number << 3 | 2, *varint, length]) + content


def item(number: int, attributes: int, text: int) -> item_pb2.Item:
    made = item_pb2.Item(id=f"item {number}", title="title", text="é" * text)
    made.attributes.update({f"a{n}": [n, {"deep": str(n)}] for n in range(attributes)})
    return made


def batch(count: int, attributes: int, text: int) -> items_pb.BatchUpsertItemsRequest:
    return items_pb.BatchUpsertItemsRequest(
        items=[item(number, attributes, text) for number in range(count)], request_id="once"
    )


@pytest.mark.parametrize(
    "request_",
    [
        batch(1, 0, 0),
        batch(900, 3, 200),
        batch(40, 300, 3000),
        batch(3, 2000, 60_000),
        pb.RecommendRequest(page_token="t" * 3_000_000, user_id="ann"),
        pb.BatchRecommendRequest(requests=[pb.RecommendRequest(page_token="t" * 3_000_000)] * 5),
    ],
    ids=["small", "many", "rich", "large", "a long string", "long strings"],
)
def test_a_large_request_is_parsed_to_the_same_in_pieces(request_: Message) -> None:
    assert parse(type(request_).FromString, request_.SerializeToString()) == request_


def test_no_piece_is_large() -> None:
    request = batch(900, 3, 200)
    noting = Noting(items_pb.BatchUpsertItemsRequest())
    parse(lambda _: cast("Message", noting), request.SerializeToString())
    assert noting.message == request
    assert 0 < noting.largest <= PIECE_BYTES


def test_what_comes_again_is_merged_as_protobuf_merges_it() -> None:
    big, small = item(1, 2000, 60_000), item(2, 1, 10)
    parts = [
        items_pb.UpdateItemRequest(item=each, allow_missing=True)
        for each in (big, small, item_pb2.Item(text="last"), big, small)
    ]
    content = b"".join(part.SerializeToString() for part in parts)
    from_string = items_pb.UpdateItemRequest.FromString
    assert parse(from_string, content) == from_string(content)


def test_the_last_of_alternatives_holds() -> None:
    operand = filter_pb2.Operand(text="x" * 300)
    large = filter_pb2.Condition()
    getattr(large, "in").values.extend([operand] * 900)
    other = filter_pb2.Condition(equals=operand)
    for order in ([large, other], [other, large], [large, other, large]):
        content = b"".join(each.SerializeToString() for each in order)
        from_string = filter_pb2.Condition.FromString
        assert parse(from_string, content) == from_string(content)


@pytest.mark.parametrize(
    ("from_string", "content", "field"),
    [
        (pb.BatchRecommendRequest.FromString, EMPTY * 8_000_000, "requests"),
        (items_pb.BatchUpsertItemsRequest.FromString, EMPTY * 8_000_000, "items"),
        (
            pb.RecommendRequest.FromString,
            pb.RecommendRequest(filter=filter_pb2.Filter.FromString(EMPTY * 1_000_000)),
            "filter.all_of",
        ),
        (
            embedding_service_pb2.EmbedRequest.FromString,
            embedding_service_pb2.EmbedRequest(texts=["t" * (MAX_STRING_BYTES + 1)]),
            "texts",
        ),
        (
            items_pb.BatchUpsertItemsRequest.FromString,
            items_pb.BatchUpsertItemsRequest(items=[item(1, MAX_ENTRIES + 1, 0)]),
            "items[0].attributes.fields",
        ),
        (pb.RecommendRequest.FromString, b"\xf8\x3f\x01" * PIECE_BYTES, "request"),
        (
            pb.BatchRecommendRequest.FromString,
            inside(1, b"\x72\x00" * 20_000) * 100,
            "requests[0].rules",
        ),
        (
            pb.BatchRecommendRequest.FromString,
            inside(1, inside(5, EMPTY * 20_000)) * 100,
            "requests[0].exclude.item_ids",
        ),
        (
            pb.RecommendRequest.FromString,
            inside(14, inside(5, inside(1, inside(3, EMPTY * 10_000)) * 2)) * 10,
            "rules[0].filter.all_of[0].in.values",
        ),
    ],
    ids=[
        "requests",
        "items",
        "conditions",
        "a text",
        "attributes",
        "unknown fields",
        "rules of small requests",
        "exclusions of small requests",
        "operands of small rules",
    ],
)
def test_what_no_field_takes_is_refused_before_it_is_parsed(
    from_string: Callable[[bytes], Message], content: bytes | Message, field: str
) -> None:
    wire = content if isinstance(content, bytes) else content.SerializeToString()
    parsed: list[int] = []

    def noting(part: bytes) -> Message:
        parsed.append(len(part))
        return from_string(part)

    with pytest.raises(InvalidArgument) as caught:
        parse(noting, wire)
    assert [violation.field for violation in caught.value.violations] == [field]
    assert parsed == [0]


def test_as_many_as_a_field_takes_are_parsed() -> None:
    request = batch(MAX_ELEMENTS, 0, 200)
    content = request.SerializeToString()
    assert len(content) > PIECE_BYTES
    assert parse(items_pb.BatchUpsertItemsRequest.FromString, content) == request
    with pytest.raises(InvalidArgument, match="items"):
        parse(items_pb.BatchUpsertItemsRequest.FromString, batch(1001, 0, 200).SerializeToString())


def test_the_largest_filters_are_parsed() -> None:
    condition = filter_pb2.Condition(field="year")
    getattr(condition, "in").values.extend([filter_pb2.Operand(text="\n\n")] * MAX_ELEMENTS)
    rule = pb.Rule(boost=2, filter=filter_pb2.Filter(all_of=[condition] * 32))
    request = pb.RecommendRequest(rules=[rule] * 10)
    assert parse(type(request).FromString, request.SerializeToString()) == request


def test_damage_is_refused_as_protobuf_refuses_it() -> None:
    content = batch(20, 100, 3000).SerializeToString()
    assert len(content) > PIECE_BYTES
    generator = random.Random(1)
    from_string = items_pb.BatchUpsertItemsRequest.FromString
    refused = 0
    for _ in range(300):
        at = generator.randrange(len(content))
        damaged = content[:at] + bytes([generator.randrange(256)]) + content[at + 1 :]
        if generator.random() < 0.1:
            damaged = damaged[:at]
        try:
            expected: Message | None = from_string(damaged)
        except DecodeError:
            expected = None
        try:
            assert parse(from_string, damaged) == expected
        except InvalidArgument as error:
            refused += 1
            [violation] = error.violations
            assert expected is None or "parsed" not in violation.description
    assert refused > 20
