from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from google.protobuf.duration_pb2 import Duration
from longtail.runtime.errors import InvalidArgument
from longtail.server.recommend.request import (
    ItemExample,
    Rotation,
)
from longtail.server.rpc.read.recommend_request import WishDraft, wish_draft
from longtail.v1 import recommendation_service_pb2 as pb

DIMENSION = 4
VECTOR = np.array([3, 0, 4, 0], "<f4").tobytes()
NAN = float("nan")

Request = pb.RecommendRequest


def draft(request: pb.RecommendRequest) -> WishDraft:
    return wish_draft(request, None, dimension=DIMENSION, default_strength=0.25)


def of_vector(*values: float) -> Request:
    return Request(examples=[pb.Example(vector=np.array(values, "<f4").tobytes())])


def excluding(*item_ids: str) -> Request:
    return Request(exclude=pb.Exclusions(item_ids=item_ids))


def seen(*types: str) -> Request:
    return Request(exclude=pb.Exclusions(seen_types=types))


def weighing(weight: float) -> Request:
    return Request(examples=[pb.Example(text="first"), pb.Example(text="a", weight=weight)])


def rotating(user_id: str = "ann", **values: Any) -> Request:  # noqa: ANN401 (fields of any type)
    return Request(user_id=user_id, rotation=pb.Rotation(**values))


BAD: dict[str, tuple[str, Callable[[], Request]]] = {
    "blank query": ("query", lambda: Request(query=" \t\n")),
    "overlong query": ("query", lambda: Request(query="x" * 4001)),
    "overlong user": ("user_id", lambda: Request(user_id="x" * 257)),
    "control character in user": ("user_id", lambda: Request(user_id="ann\n")),
    "page below zero": ("page_size", lambda: Request(page_size=-1)),
    "unknown enum value": ("explain", lambda: Request(explain=99)),  # type: ignore[arg-type]
    "too many examples": (
        "examples",
        lambda: Request(examples=[pb.Example(text="a")] * 101),
    ),
    "too many exclusions": ("exclude.item_ids", lambda: excluding(*["a"] * 1001)),
    "too many seen types": ("exclude.seen_types", lambda: seen(*["a"] * 101)),
    "empty exclusion": ("exclude.item_ids[1]", lambda: excluding("a", "")),
    "control character in exclusion": ("exclude.item_ids[0]", lambda: excluding("a\0")),
    "empty seen type": ("exclude.seen_types[1]", lambda: seen("a", "")),
    "overlong seen type": ("exclude.seen_types[0]", lambda: seen("x" * 65)),
    "example of nothing": ("examples[0]", lambda: Request(examples=[pb.Example(weight=1)])),
    "empty example text": ("examples[0].text", lambda: Request(examples=[pb.Example(text="")])),
    "blank example text": ("examples[0].text", lambda: Request(examples=[pb.Example(text=" ")])),
    "overlong example text": (
        "examples[0].text",
        lambda: Request(examples=[pb.Example(text="x" * 4001)]),
    ),
    "empty example id": (
        "examples[0].item_id",
        lambda: Request(examples=[pb.Example(item_id="")]),
    ),
    "overlong example id": (
        "examples[0].item_id",
        lambda: Request(examples=[pb.Example(item_id="x" * 257)]),
    ),
    "NaN vector": ("examples[0].vector", lambda: of_vector(1, 2, NAN, 4)),
    "infinite vector": ("examples[0].vector", lambda: of_vector(1, 2, float("inf"), 4)),
    "zero vector": ("examples[0].vector", lambda: of_vector(0, 0, 0, 0)),
    "short vector": ("examples[0].vector", lambda: of_vector(1, 2, 3)),
    "empty vector": ("examples[0].vector", lambda: of_vector()),
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


@pytest.mark.parametrize(("field", "request_of"), BAD.values(), ids=BAD.keys())
def test_what_is_wrong_is_named_by_its_field(field: str, request_of: Callable[[], Request]) -> None:
    with pytest.raises(InvalidArgument) as caught:
        draft(request_of())
    (violation,) = caught.value.violations
    assert violation.field == field
    assert violation.description


@pytest.mark.parametrize(
    "request_of",
    [
        lambda: Request(query="x" * 4000, user_id="x" * 256),
        lambda: Request(examples=[pb.Example(text="a")] * 100),
        lambda: excluding(*["x" * 256] * 1000),
        lambda: seen(*["x" * 64] * 100),
        lambda: weighing(100),
        lambda: weighing(-100),
        lambda: rotating(rate=1, half_life=Duration(nanos=1000)),
    ],
)
def test_a_value_at_its_bound_is_taken(request_of: Callable[[], Request]) -> None:
    draft(request_of())


@pytest.mark.parametrize(("asked", "given"), [(0, 10), (1, 1), (100, 100), (101, 100)])
def test_page_sizes(asked: int, given: int) -> None:
    assert draft(Request(page_size=asked)).wish(None).page_size == given


def test_rotation() -> None:
    day = 24 * 3600 * 10**6
    assert draft(rotating(rate=0.5)).wish(None).rotation == Rotation(0.5, day)
    hour = rotating(rate=0.5, half_life=Duration(seconds=3600))
    assert draft(hour).wish(None).rotation == Rotation(0.5, 3600 * 10**6)
    assert draft(rotating(half_life=Duration(seconds=1))).wish(None).rotation is None


def mixed() -> Request:
    return Request(
        query="a query",
        user_id="ann",
        examples=[
            pb.Example(item_id="film", weight=2),
            pb.Example(text="a text", weight=-0.5),
            pb.Example(vector=VECTOR),
        ],
        exclude=pb.Exclusions(item_ids=["a", "b"], seen_types=["view"], allow_seen=True),
        page_size=7,
        min_revision=3,
    )


def test_a_wish_has_all_that_was_asked_for() -> None:
    asked = draft(mixed())
    assert asked.texts == ["a query", "a text"]
    query, text = np.eye(DIMENSION, dtype=np.float32)[:2]
    wish = asked.wish(np.stack([query, text]))
    assert wish.query is not None
    assert wish.query.tolist() == query.tolist()
    assert [(e.vector.tolist(), e.weight, e.position) for e in wish.examples] == [
        (text.tolist(), -0.5, 1),
        (pytest.approx([0.6, 0, 0.8, 0]), 1.0, 2),
    ]
    assert wish.item_examples == (ItemExample("film", 2.0, 0),)
    assert (wish.user_id, wish.page_size, wish.min_revision) == ("ann", 7, 3)
    assert wish.excluded == frozenset({"a", "b"})
    assert wish.seen_types == frozenset({"view"})
    assert wish.allow_seen


def test_a_wish_without_the_vectors_of_its_texts_keeps_the_rest() -> None:
    wish = draft(mixed()).wish(None)
    assert wish.query is None
    assert [example.weight for example in wish.examples] == [1.0]
    assert wish.item_examples == (ItemExample("film", 2.0, 0),)


def test_the_texts_of_examples_do_not_become_the_query() -> None:
    text = np.eye(DIMENSION, dtype=np.float32)[:1]
    wish = draft(Request(examples=[pb.Example(text="a text", weight=3)])).wish(text)
    assert wish.query is None
    assert [example.weight for example in wish.examples] == [3.0]
