from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from google.protobuf.duration_pb2 import Duration
from longtail.runtime.errors import InvalidArgument
from longtail.server.process.pseudonyms import Pseudonyms
from longtail.server.recommend.request import (
    ItemExample,
    Rotation,
)
from longtail.server.rpc.read.recommend_request import ReadRequest, read_request
from longtail.server.store.records import VectorSpace
from longtail.v1 import filter_pb2
from longtail.v1 import recommendation_service_pb2 as pb

DIMENSION = 4
VECTOR = np.array([3, 0, 4, 0], "<f4").tobytes()
SPACES = {name: VectorSpace(7, name, 2) for name in ("image", "sound")}
NAN = float("nan")
EVERYTHING = filter_pb2.Filter(all_of=[filter_pb2.Condition(field="genre", exists=True)])

Message = pb.RecommendRequest


def read(message: pb.RecommendRequest) -> ReadRequest:
    return read_request(
        message, dimension=DIMENSION, spaces=SPACES, default_strength=0.25, pseudonyms=Pseudonyms()
    )


def of_vector(*values: float, space: str = "") -> Message:
    vector = np.array(values, "<f4").tobytes()
    return Message(examples=[pb.Example(vector=vector, space=space)])


def excluding(*item_ids: str) -> Message:
    return Message(exclude=pb.Exclusions(item_ids=item_ids))


def seen(*types: str) -> Message:
    return Message(exclude=pb.Exclusions(seen_types=types))


def weighing(weight: float) -> Message:
    return Message(examples=[pb.Example(text="first"), pb.Example(text="a", weight=weight)])


def rotating(user_id: str = "ann", **values: Any) -> Message:  # noqa: ANN401 (fields of any type)
    return Message(user_id=user_id, rotation=pb.Rotation(**values))


BAD: dict[str, tuple[str, Callable[[], Message]]] = {
    "blank query": ("query", lambda: Message(query=" \t\n")),
    "overlong query": ("query", lambda: Message(query="x" * 4001)),
    "overlong user": ("user_id", lambda: Message(user_id="x" * 257)),
    "control character in user": ("user_id", lambda: Message(user_id="ann\n")),
    "page below zero": ("page_size", lambda: Message(page_size=-1)),
    "unknown enum value": ("explain", lambda: Message(explain=99)),  # type: ignore[arg-type]
    "too many examples": (
        "examples",
        lambda: Message(examples=[pb.Example(text="a")] * 101),
    ),
    "too many exclusions": ("exclude.item_ids", lambda: excluding(*["a"] * 1001)),
    "too many seen types": ("exclude.seen_types", lambda: seen(*["a"] * 101)),
    "empty exclusion": ("exclude.item_ids[1]", lambda: excluding("a", "")),
    "control character in exclusion": ("exclude.item_ids[0]", lambda: excluding("a\0")),
    "empty seen type": ("exclude.seen_types[1]", lambda: seen("a", "")),
    "overlong seen type": ("exclude.seen_types[0]", lambda: seen("x" * 65)),
    "example of nothing": ("examples[0]", lambda: Message(examples=[pb.Example(weight=1)])),
    "empty example text": ("examples[0].text", lambda: Message(examples=[pb.Example(text="")])),
    "blank example text": ("examples[0].text", lambda: Message(examples=[pb.Example(text=" ")])),
    "overlong example text": (
        "examples[0].text",
        lambda: Message(examples=[pb.Example(text="x" * 4001)]),
    ),
    "empty example id": (
        "examples[0].item_id",
        lambda: Message(examples=[pb.Example(item_id="")]),
    ),
    "overlong example id": (
        "examples[0].item_id",
        lambda: Message(examples=[pb.Example(item_id="x" * 257)]),
    ),
    "NaN vector": ("examples[0].vector", lambda: of_vector(1, 2, NAN, 4)),
    "infinite vector": ("examples[0].vector", lambda: of_vector(1, 2, float("inf"), 4)),
    "zero vector": ("examples[0].vector", lambda: of_vector(0, 0, 0, 0)),
    "short vector": ("examples[0].vector", lambda: of_vector(1, 2, 3)),
    "empty vector": ("examples[0].vector", lambda: of_vector()),
    "unknown space": ("examples[0].space", lambda: of_vector(1, 2, space="film")),
    "unknown space of an item": (
        "examples[0].space",
        lambda: Message(examples=[pb.Example(item_id="a", space="Image")]),
    ),
    "space of a text": (
        "examples[0].space",
        lambda: Message(examples=[pb.Example(text="a", space="image")]),
    ),
    "vector of another space": ("examples[0].vector", lambda: of_vector(1, 2, 3, 4, space="image")),
    "zero vector of a space": ("examples[0].vector", lambda: of_vector(0, 0, space="image")),
    "weight zero": ("examples[1].weight", lambda: weighing(0)),
    "weight NaN": ("examples[1].weight", lambda: weighing(NAN)),
    "weight too large": ("examples[1].weight", lambda: weighing(100.5)),
    "weight too small": ("examples[1].weight", lambda: weighing(-100.5)),
    "rotation above one": ("rotation.rate", lambda: rotating(rate=1.5)),
    "rotation NaN": ("rotation.rate", lambda: rotating(rate=NAN)),
    "rotation of nobody": ("user_id", lambda: rotating("", rate=0.5)),
    "half-life of zero": ("rotation.half_life", lambda: rotating(half_life=Duration())),
    "half-life below zero": ("rotation.half_life", lambda: rotating(half_life=Duration(nanos=-1))),
    "half-life without end": (
        "rotation.half_life",
        lambda: rotating(half_life=Duration(seconds=2**62)),
    ),
}


@pytest.mark.parametrize(("field", "message_of"), BAD.values(), ids=BAD.keys())
def test_what_is_wrong_is_named_by_its_field(field: str, message_of: Callable[[], Message]) -> None:
    with pytest.raises(InvalidArgument) as caught:
        read(message_of())
    (violation,) = caught.value.violations
    assert violation.field == field
    assert violation.description


@pytest.mark.parametrize(
    "message_of",
    [
        lambda: Message(query="x" * 4000, user_id="x" * 256),
        lambda: Message(examples=[pb.Example(text="a")] * 100),
        lambda: excluding(*["x" * 256] * 1000),
        lambda: seen(*["x" * 64] * 100),
        lambda: weighing(100),
        lambda: weighing(-100),
        lambda: rotating(rate=1, half_life=Duration(nanos=1000)),
    ],
)
def test_a_value_at_its_bound_is_taken(message_of: Callable[[], Message]) -> None:
    read(message_of())


@pytest.mark.parametrize(("asked", "given"), [(0, 10), (1, 1), (100, 100), (101, 100)])
def test_page_sizes(asked: int, given: int) -> None:
    assert read(Message(page_size=asked)).wordless.page_size == given


def test_rotation() -> None:
    day = 24 * 3600 * 10**6
    assert read(rotating(rate=0.5)).wordless.rotation == Rotation(0.5, day)
    hour = rotating(rate=0.5, half_life=Duration(seconds=3600))
    assert read(hour).wordless.rotation == Rotation(0.5, 3600 * 10**6)
    assert read(rotating(half_life=Duration(seconds=1))).wordless.rotation is None


def mixed() -> Message:
    return Message(
        query="a query",
        user_id="ann",
        examples=[
            pb.Example(item_id="film", weight=2),
            pb.Example(text="a text", weight=-0.5),
            pb.Example(vector=VECTOR),
        ],
        exclude=pb.Exclusions(item_ids=["a", "b"], seen_types=["view"], allow_seen=True),
        allow_copies=True,
        page_size=7,
    )


def test_a_request_has_all_that_was_asked_for() -> None:
    found = read(mixed())
    assert found.texts == ["a query", "a text"]
    query, text = np.eye(DIMENSION, dtype=np.float32)[:2]
    asked = found.request(np.stack([query, text]))
    assert asked.query is not None
    assert asked.query.tolist() == query.tolist()
    assert [(e.vector.tolist(), e.weight, e.position) for e in asked.examples] == [
        (text.tolist(), -0.5, 1),
        (pytest.approx([0.6, 0, 0.8, 0]), 1.0, 2),
    ]
    assert asked.item_examples == (ItemExample("film", 2.0, 0),)
    assert (asked.user_id, asked.page_size) == ("ann", 7)
    assert asked.excluded == frozenset({"a", "b"})
    assert asked.seen_types == frozenset({"view"})
    assert asked.allow_seen
    assert asked.allow_copies


def test_an_example_may_be_of_a_vector_space() -> None:
    vector = np.array([3, 4], "<f4").tobytes()
    given = [
        pb.Example(vector=vector, space="image", weight=2),
        pb.Example(vector=VECTOR),
        pb.Example(item_id="film", space="sound"),
        pb.Example(item_id="film"),
    ]
    asked = read(Message(examples=given)).wordless
    assert [(e.vector.tolist(), e.weight, e.position, e.space) for e in asked.examples] == [
        (pytest.approx([0.6, 0.8]), 2.0, 0, "image"),
        (pytest.approx([0.6, 0, 0.8, 0]), 1.0, 1, ""),
    ]
    assert asked.item_examples == (
        ItemExample("film", 1.0, 2, "sound"),
        ItemExample("film", 1.0, 3),
    )


def test_a_request_without_the_vectors_of_its_texts_keeps_the_rest() -> None:
    asked = read(mixed()).request(None)
    assert asked.query is None
    assert [example.weight for example in asked.examples] == [1.0]
    assert asked.item_examples == (ItemExample("film", 2.0, 0),)


def test_the_texts_of_examples_do_not_become_the_query() -> None:
    text = np.eye(DIMENSION, dtype=np.float32)[:1]
    asked = read(Message(examples=[pb.Example(text="a text", weight=3)])).request(text)
    assert asked.query is None
    assert [example.weight for example in asked.examples] == [3.0]


@pytest.mark.parametrize(
    ("message", "cost"),
    [
        (Message(filter=EVERYTHING), 0),
        (Message(rules=[pb.Rule(boost=2, filter=EVERYTHING)] * 3), 3),
        (Message(rules=[pb.Rule(boost=2, item_ids=["a"])]), 0),
    ],
)
def test_rules_cost_what_their_filters_compare(message: Message, cost: int) -> None:
    assert read(message).wordless.rule_cost == cost
