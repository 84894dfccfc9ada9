from collections.abc import Callable

import numpy as np
import pytest
from longtail.v1 import recommendation_service_pb2 as pb

from runtime.errors import InvalidArgument
from server.candidates import ItemExample
from server.ranking.quota import Policy
from server.wishes import WishDraft, wish_draft

DIMENSION = 4
VECTOR = np.array([3, 0, 4, 0], "<f4").tobytes()
NAN = float("nan")

Request = pb.RecommendRequest


def draft(request: pb.RecommendRequest) -> WishDraft:
    return wish_draft(request, dimension=DIMENSION, default_strength=0.25)


def of_vector(*values: float) -> Request:
    return Request(examples=[pb.Example(vector=np.array(values, "<f4").tobytes())])


def excluding(*item_ids: str) -> Request:
    return Request(exclude=pb.Exclusions(item_ids=item_ids))


def seen(*types: str) -> Request:
    return Request(exclude=pb.Exclusions(seen_types=types))


def dial(**values: float) -> Request:
    return Request(long_tail=pb.LongTail(**values))


def weighing(weight: float) -> Request:
    return Request(examples=[pb.Example(text="first"), pb.Example(text="a", weight=weight)])


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
    "strength above one": ("long_tail.strength", lambda: dial(strength=1.5)),
    "strength below zero": ("long_tail.strength", lambda: dial(strength=-0.1)),
    "strength NaN": ("long_tail.strength", lambda: dial(strength=NAN)),
    "tail fraction": ("long_tail.min_tail_fraction", lambda: dial(min_tail_fraction=1.01)),
    "tail fraction NaN": ("long_tail.min_tail_fraction", lambda: dial(min_tail_fraction=NAN)),
    "budget": ("long_tail.relevance_budget", lambda: dial(relevance_budget=-1)),
    "budget NaN": ("long_tail.relevance_budget", lambda: dial(relevance_budget=NAN)),
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
        lambda: dial(strength=1, min_tail_fraction=1, relevance_budget=0),
    ],
)
def test_a_value_at_its_bound_is_taken(request_of: Callable[[], Request]) -> None:
    draft(request_of())


@pytest.mark.parametrize(("asked", "given"), [(0, 10), (1, 1), (100, 100), (101, 100)])
def test_page_sizes(asked: int, given: int) -> None:
    assert draft(Request(page_size=asked)).page_size == given


def test_what_is_not_said_is_the_default() -> None:
    assert draft(Request()).policy == Policy(0.25, 0.0, 1.0)
    # Zero that is said is not the default.
    assert draft(dial(strength=0, relevance_budget=0)).policy == Policy(0.0, 0.0, 0.0)


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
    assert asked.texts == ("a query", "a text")
    query, text = np.eye(DIMENSION, dtype=np.float32)[:2]
    wish = asked.wish(np.stack([query, text]))
    assert wish.query is not None
    assert wish.query.tolist() == query.tolist()
    assert [(e.vector.tolist(), e.weight) for e in wish.examples] == [
        (text.tolist(), -0.5),
        (pytest.approx([0.6, 0, 0.8, 0]), 1.0),
    ]
    assert wish.item_examples == (ItemExample("film", 2.0),)
    assert (wish.user_id, wish.page_size, wish.min_revision) == ("ann", 7, 3)
    assert wish.excluded == frozenset({"a", "b"})
    assert wish.seen_types == frozenset({"view"})
    assert wish.allow_seen


def test_a_wish_without_the_vectors_of_its_texts_keeps_the_rest() -> None:
    wish = draft(mixed()).wish(None)
    assert wish.query is None
    assert [example.weight for example in wish.examples] == [1.0]
    assert wish.item_examples == (ItemExample("film", 2.0),)


def test_the_texts_of_examples_do_not_become_the_query() -> None:
    text = np.eye(DIMENSION, dtype=np.float32)[:1]
    wish = draft(Request(examples=[pb.Example(text="a text", weight=3)])).wish(text)
    assert wish.query is None
    assert [example.weight for example in wish.examples] == [3.0]
