from collections.abc import Mapping

import numpy as np
from longtail.server.catalogue.columns.columns import NO_ROW
from longtail.server.recommend.pool import NO_POSITION, Liked
from longtail.server.rpc.write.nearest import (
    MAX_MATCH,
    MAX_MATCHING,
    Likenesses,
    Nearest,
    attribute_pairs,
    item_ids,
    matching,
    nearest,
)
from longtail.server.store.records import ItemContent, StoredItem
from longtail.v1 import recommendation_service_pb2 as pb

NEAR, LESS_NEAR = float(np.float32(0.8)), float(np.float32(0.6))
AXES = np.eye(3, dtype=np.float32)
# An item of the history, an item as the third example, and a text as the first.
LIKED = Liked(("past", "given", ""), np.array([7, 8, NO_ROW]), (NO_POSITION, 2, 0), AXES)


def stored(item_id: str, **attributes: object) -> StoredItem:
    content = ItemContent(item_id, f"Title of {item_id}", "", attributes, 0.0)
    return StoredItem(content, 0, 0, 1, vector_given=False)


def shared(item: Mapping[str, object], other: Mapping[str, object]) -> list[str]:
    return matching(attribute_pairs(item), attribute_pairs(other))


def test_an_item_is_most_like_what_has_the_largest_cosine() -> None:
    vectors = np.array([[0.8, 0.6, 0], [0, 0.6, 0.8], [0.6, 0.8, 0]], np.float32)
    found = nearest(LIKED, vectors, np.array([1, 2, 3]))
    assert found == [
        Nearest("past", NO_POSITION, NEAR),
        Nearest("", 0, NEAR),
        Nearest("given", 2, NEAR),
    ]
    assert item_ids(found) == {"past", "given"}


def test_an_item_is_not_compared_with_itself() -> None:
    vectors = np.array([[1, 0, 0], [0.8, 0.6, 0]], np.float32)
    found = nearest(LIKED, vectors, np.array([7, 7]))
    assert found == [None, Nearest("given", 2, LESS_NEAR)]


def test_what_is_like_nothing_has_no_example() -> None:
    nobody = Liked((), np.empty(0, np.int64), (), np.empty((0, 3), np.float32))
    assert nearest(nobody, AXES, np.arange(3)) == [None] * 3
    assert nearest(LIKED, -AXES, np.arange(3)) == [None] * 3


def test_an_example_is_described_with_its_title_and_what_is_shared() -> None:
    items = {
        "a": stored("a", genre="crime", year=1999.0),
        "past": stored("past", genre="crime", year=2000.0),
    }
    result = pb.Recommendation(item_id="a")
    Likenesses(items).describe(result, Nearest("past", NO_POSITION, 0.5))
    assert result.nearest_example == pb.NearestExample(
        item_id="past", title="Title of past", similarity=0.5
    )
    assert not result.nearest_example.HasField("example")
    assert list(result.matching_attributes) == ["genre=crime"]


def test_a_text_and_an_item_that_has_gone_have_no_title() -> None:
    result = pb.Recommendation(item_id="a")
    Likenesses({"a": stored("a")}).describe(result, Nearest("", 0, 0.5))
    assert result.nearest_example == pb.NearestExample(example=0, similarity=0.5)
    assert result.nearest_example.HasField("example")
    gone = pb.Recommendation(item_id="a")
    Likenesses({"a": stored("a")}).describe(gone, Nearest("past", NO_POSITION, 0.5))
    assert gone.nearest_example == pb.NearestExample(item_id="past", similarity=0.5)


def test_lists_match_by_element_and_objects_by_path() -> None:
    item = {
        "genres": ["drama", "crime", "noir"],
        "year": 1999.0,
        "price": 0.5,
        "classic": True,
        "maker": {"country": "fr", "people": [{"name": "b"}, {"name": "a"}], "none": None},
    }
    other = {
        "genres": ["noir", "crime"],
        "year": 1999.0,
        "price": 0.25,
        "classic": True,
        "maker": {"country": "de", "people": [{"name": "a"}], "none": None},
        "name": "b",
    }
    assert shared(item, other) == [
        "classic=true",
        "genres=crime",
        "genres=noir",
        "maker.people.name=a",
        "year=1999",
    ]
    assert shared(item, {}) == shared({}, other) == []


def test_what_is_shared_is_bounded() -> None:
    many = {f"field {at}": "same" for at in range(MAX_MATCHING + 1)}
    assert len(shared(many, many)) == MAX_MATCHING
    texts = {"a": "x" * (MAX_MATCH - 2), "b": "x" * (MAX_MATCH - 1)}
    assert shared(texts, texts) == ["a=" + "x" * (MAX_MATCH - 2)]
