import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, strategies
from longtail.runtime.errors import InvalidArgument
from longtail.server.process.pseudonyms import Pseudonyms
from longtail.server.rpc.read.fields import (
    check_batch,
    check_id,
    check_number,
    check_page_size,
    each,
    interaction,
)
from longtail.server.rpc.read.item import item_draft
from longtail.server.rpc.read.item_attributes import MAX_ATTRIBUTES_DEPTH, attributes_object
from longtail.server.rpc.tokens.recommendation import TokenCodec
from longtail.server.store.records import State
from longtail.v1.interaction_service_pb2 import Interaction
from longtail.v1.item_pb2 import Item
from longtail.v1.recommendation_service_pb2 import Recommendation, RecommendResponse

DIMENSION = 4
TOKENS = TokenCodec(b"store")
read = partial(interaction, tokens=TOKENS, pseudonyms=Pseudonyms(), kept_days=0)
NAN, INFINITY = float("nan"), float("inf")


def packed(*values: float) -> bytes:
    return np.array(values, "<f4").tobytes()


def attributes(**values: Any) -> Struct:  # noqa: ANN401
    struct = Struct()
    struct.update(values)
    return struct


def violated(validate: Callable[[], object]) -> str:
    with pytest.raises(InvalidArgument) as caught:
        validate()
    (violation,) = caught.value.violations
    assert violation.description
    return violation.field


BAD_ITEMS = {
    "empty id": ("id", {"id": ""}),
    "overlong id": ("id", {"id": "x" * 257}),
    "control character in id": ("id", {"id": "a\nb"}),
    "zero byte in id": ("id", {"id": "a\0"}),
    "overlong title": ("title", {"title": "x" * 1001}),
    "blank title": ("title", {"title": "  "}),
    "NUL in title": ("title", {"title": "a\0"}),
    "NUL in a name": ("attributes.more", {"attributes": {"more": {"a\0": 1}}}),
    "overlong text": ("text", {"text": "x" * 20_001}),
    "blank text": ("text", {"text": "\n"}),
    "nothing to encode": ("text", {"title": "", "text": ""}),
    "prior below zero": ("popularity_prior", {"popularity_prior": -0.1}),
    "prior NaN": ("popularity_prior", {"popularity_prior": NAN}),
    "penalty below zero": ("penalty", {"penalty": -0.1}),
    "penalty above one": ("penalty", {"penalty": 1.1}),
    "penalty NaN": ("penalty", {"penalty": NAN}),
    "prior infinite": ("popularity_prior", {"popularity_prior": INFINITY}),
    "short vector": ("vector", {"vector": packed(1, 2, 3)}),
    "long vector": ("vector", {"vector": packed(1, 2, 3, 4, 5)}),
    "odd bytes": ("vector", {"vector": packed(1, 2, 3, 4)[:-1]}),
    "NaN in vector": ("vector", {"vector": packed(1, 2, 3, NAN)}),
    "infinity in vector": ("vector", {"vector": packed(1, 2, 3, -INFINITY)}),
    "zero vector": ("vector", {"vector": packed(0, 0, 0, -0.0)}),
    "attributes too large": ("attributes", {"attributes": attributes(long="x" * 16_384)}),
    "NaN in attributes": ("attributes.number", {"attributes": attributes(number=NAN)}),
    "infinity within attributes": (
        "attributes.sizes[1].x",
        {"attributes": attributes(sizes=[1, {"x": -INFINITY}])},
    ),
    "no state": ("state", {"state": 77}),
    "time beyond the calendar": ("available_from", {"available_from": Timestamp(seconds=2**60)}),
    "empty window": (
        "available_until",
        {"available_from": Timestamp(seconds=5), "available_until": Timestamp(seconds=5)},
    ),
}


@pytest.mark.parametrize(("field", "values"), BAD_ITEMS.values(), ids=BAD_ITEMS.keys())
def test_what_is_wrong_with_an_item_is_named(field: str, values: dict[str, Any]) -> None:
    item = Item(**{"id": "film", "title": "A title", **values})
    assert violated(lambda: item_draft(item, DIMENSION, {})) == field


def test_an_item_is_taken_as_it_is() -> None:
    sent = attributes(year=1999, tags=["a", None, {"b": True}])
    draft = item_draft(
        Item(id="é 1", title="x" * 1000, text="y" * 20_000, attributes=sent, popularity_prior=2),
        DIMENSION,
        {},
    )
    assert draft.vector is None
    assert (draft.content.id, draft.content.prior) == ("é 1", 2)
    assert (len(draft.content.title), len(draft.content.text)) == (1000, 20_000)
    assert draft.content.attributes == {"year": 1999, "tags": ["a", None, {"b": True}]}


def test_what_an_item_does_not_say() -> None:
    content = item_draft(Item(id="film", title="A title"), DIMENSION, {}).content
    assert (content.state, content.attributes) == (State.ACTIVE, {})
    assert (content.available_from, content.available_until) == (None, None)


def test_an_item_of_no_content_is_read_where_none_is_asked_for() -> None:
    assert item_draft(Item(id="film"), DIMENSION, {}, needs_content=False).vector is None


# A text with U+0000 is refused.
TEXTS = strategies.text(strategies.characters(codec="utf-8", exclude_characters="\0"), max_size=5)


@given(
    strategies.recursive(
        strategies.none()
        | strategies.booleans()
        | strategies.floats(allow_nan=False, allow_infinity=False)
        | TEXTS,
        lambda inner: (
            strategies.lists(inner, max_size=4) | strategies.dictionaries(TEXTS, inner, max_size=4)
        ),
        max_leaves=20,
    )
)
def test_attributes_are_what_protobuf_makes_of_them(value: Any) -> None:  # noqa: ANN401
    struct = attributes(value=value)
    # What protobuf reads is a float, whole or not.
    expected = json.loads(
        json.dumps(json_format.MessageToDict(struct)), parse_float=lambda text: number(float(text))
    )
    assert json.dumps(attributes_object(struct)) == json.dumps(expected)


def number(value: float) -> float:
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def test_numbers_are_stored_as_they_were_written() -> None:
    values = [1977, 0.5, -3, 0, 2**53 - 1, 1e300, True, False]
    stored = attributes_object(attributes(alone=1977, listed=values, inside={"deep": values}))
    expected = {"alone": 1977, "listed": values, "inside": {"deep": values}}
    assert json.dumps(stored, sort_keys=True) == json.dumps(expected, sort_keys=True)
    # A list of digits is as long as it was sent.
    attributes_object(attributes(digits=[1] * 8_000))


def nested(levels: int) -> Struct:
    struct = Struct()
    inner = struct
    for _ in range(levels - 1):
        inner = inner.fields["a"].struct_value
    inner.fields["a"].number_value = 1
    return struct


def test_attributes_may_be_deep_but_not_bottomless() -> None:
    attributes_object(nested(MAX_ATTRIBUTES_DEPTH))
    deep = nested(MAX_ATTRIBUTES_DEPTH + 1)
    assert violated(lambda: attributes_object(deep)) == "attributes" + ".a" * MAX_ATTRIBUTES_DEPTH
    # What is taken can be parsed by whoever gets it in an answer.
    item = Item(attributes=nested(MAX_ATTRIBUTES_DEPTH))
    answer = RecommendResponse(results=[Recommendation(item=item)])
    assert RecommendResponse.FromString(answer.SerializeToString()) == answer


@pytest.mark.parametrize("scale", [1.0, 1e30, 1e-40])
def test_a_vector_is_brought_to_unit_length_and_needs_no_text(scale: float) -> None:
    draft = item_draft(Item(id="film", vector=packed(3 * scale, 0, 4 * scale, 0)), DIMENSION, {})
    assert draft.vector is not None
    assert draft.vector.dtype == np.float32
    assert draft.vector == pytest.approx([0.6, 0, 0.8, 0], abs=1e-4)


BAD_INTERACTIONS = {
    "empty event": ("event_id", {"event_id": ""}),
    "overlong event": ("event_id", {"event_id": "x" * 257}),
    "empty user": ("user_id", {"user_id": ""}),
    "control character in user": ("user_id", {"user_id": "\x7f"}),
    "empty item": ("item_id", {"item_id": ""}),
    "overlong item": ("item_id", {"item_id": "x" * 257}),
    "empty type": ("type", {"type": ""}),
    "overlong type": ("type", {"type": "x" * 65}),
    "control character in type": ("type", {"type": "\n"}),
    "time beyond the calendar": ("time", {"time": Timestamp(seconds=2**60)}),
    "time with nanos below zero": ("time", {"time": Timestamp(nanos=-5)}),
    "value NaN": ("value", {"value": NAN}),
    "value too large": ("value", {"value": 1000.5}),
    "value too small": ("value", {"value": -1000.5}),
    "overlong query": ("query", {"query": "x" * 4001}),
    "blank query": ("query", {"query": " "}),
}


def new_interaction(**values: Any) -> Interaction:  # noqa: ANN401
    return Interaction(
        **{"event_id": "e", "user_id": "ann", "item_id": "film", "type": "view", **values}
    )


@pytest.mark.parametrize(
    ("field", "values"), BAD_INTERACTIONS.values(), ids=BAD_INTERACTIONS.keys()
)
def test_what_is_wrong_with_an_interaction_is_named(field: str, values: dict[str, Any]) -> None:
    assert violated(lambda: read(new_interaction(**values))) == field


def test_an_interaction_is_taken_as_it_is() -> None:
    taken = read(
        new_interaction(value=-0.5, time=Timestamp(seconds=3, nanos=5000), query="a query")
    )
    assert (taken.event_id, taken.user_id, taken.item_id) == ("e", "ann", "film")
    assert (taken.type, taken.value, taken.time, taken.query) == (
        "view",
        -0.5,
        3_000_005,
        "a query",
    )


@pytest.mark.parametrize(
    "name", ["👩\u200d🚀", "全角\u3000空白", "no\u00a0break", "می\u200cخواهم", "\ue000"]
)
def test_only_control_characters_are_kept_out_of_ids(name: str) -> None:
    assert check_id("id", name) == name
    for control in ("\0", "\n", "\x7f", "\x85"):
        assert violated(partial(check_id, "id", name + control)) == "id"


def test_what_an_interaction_does_not_say() -> None:
    before = time.time_ns() // 1000
    taken = read(new_interaction())
    assert taken.value == 1
    assert before <= taken.time <= time.time_ns() // 1000
    # Zero that is said is not the default.
    assert read(new_interaction(value=0)).value == 0
    assert taken.recommendation_token == ""


def test_each_is_validated_by_itself_and_named_from_the_request() -> None:
    messages = [new_interaction(), new_interaction(value=NAN), new_interaction(event_id="f")]
    valid, wrong = each("interactions", messages, read)
    assert [taken.event_id for taken in valid] == ["e", "f"]
    assert list(wrong) == [1]
    assert [v.field for v in wrong[1].violations] == ["interactions[1].value"]


@pytest.mark.parametrize(
    ("value", "shown"), [(1000.0001, "1000.0001"), (1234567, "1234567"), (NAN, "nan")]
)
def test_a_number_that_is_refused_is_shown_as_it_came(value: float, shown: str) -> None:
    with pytest.raises(InvalidArgument, match=f"value: is {shown}, not in -1000 to 1000"):
        check_number("value", value, -1000, 1000)


@pytest.mark.parametrize("count", [0, 1001])
def test_a_batch_is_neither_empty_nor_overlong(count: int) -> None:
    assert violated(lambda: check_batch("items", ["a"] * count)) == "items"


@pytest.mark.parametrize("count", [1, 1000])
def test_a_batch_at_its_bounds(count: int) -> None:
    check_batch("items", ["a"] * count)


def test_page_sizes() -> None:
    sizes = [check_page_size(value, default=5, limit=7) for value in (0, 1, 7, 8, 2**31 - 1)]
    assert sizes == [5, 1, 7, 7, 7]
    assert violated(lambda: check_page_size(-1, default=5, limit=7)) == "page_size"
