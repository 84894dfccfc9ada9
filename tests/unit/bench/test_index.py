"""The index bench: its exact answers, its filters, and its load on a real store."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from longtail.server.catalogue.columns.attributes import AttributeColumns
from longtail.server.catalogue.columns.matching import matching
from longtail.server.store.records import EncoderBinding, ItemContent, NewItem
from numpy.typing import NDArray

from bench.figures import NotRun
from bench.index.catalogue import SHARES, Attributes
from bench.index.exact import nearest_cosines, recall
from bench.index.turns import searching, take_turns, writing
from bench.state import COMPLETE, bare_search, copied, opened, prepare
from bench.texts import Catalogue

WORD_OF = {0.5: "half", 0.1: "tenth", 0.01: "hundredth", 0.001: "thousandth"}
COUNT = 2_000
VECTORS = np.eye(4, dtype=np.float32)
QUERY = np.array([[0.8, 0.5, 0.3, 0.1]], np.float32)


def vectors_of(*rows: int) -> NDArray[np.float32]:
    return VECTORS[list(rows)]


def test_the_nearest_come_first() -> None:
    found = nearest_cosines(VECTORS, QUERY, 3)
    assert found[0].tolist() == pytest.approx([0.8, 0.5, 0.3])


def test_only_what_is_allowed_is_among_the_nearest() -> None:
    allowed = np.array([False, True, False, True])
    assert nearest_cosines(VECTORS, QUERY, 3, allowed)[0].tolist() == pytest.approx([0.5, 0.1])


def test_many_queries_are_answered_in_their_order() -> None:
    queries = np.tile(VECTORS, (50, 1)) * np.arange(1, 201, dtype=np.float32)[:, np.newaxis]
    assert nearest_cosines(VECTORS, queries, 1)[:, 0].tolist() == list(range(1, 201))


@pytest.mark.parametrize(("rows", "share"), [((0, 1), 1.0), ((1, 0), 1.0), ((0, 2), 0.5), ((), 0)])
def test_recall_is_the_share_of_the_nearest_that_was_found(
    rows: tuple[int, ...], share: float
) -> None:
    exact = nearest_cosines(VECTORS, QUERY, 2)
    assert recall(exact, [vectors_of(*rows)], QUERY).tolist() == [share]


def test_what_is_as_near_as_the_last_may_stand_for_it() -> None:
    twins = np.concatenate([VECTORS, VECTORS[1:2]])
    exact = nearest_cosines(twins, QUERY, 2)
    assert recall(exact, [twins[[0, 4]]], QUERY).tolist() == [1.0]


def test_more_than_was_asked_for_is_no_merit() -> None:
    exact = nearest_cosines(VECTORS, QUERY, 2)
    assert recall(exact, [vectors_of(2, 3, 0, 1)], QUERY).tolist() == [0.0]


def test_each_call_is_given_each_query_once_and_no_two_the_same_in_a_turn() -> None:
    given: list[list[int]] = [[], [], []]
    take_turns([each.append for each in given], range(9))
    assert all(sorted(each) == list(range(9)) for each in given)
    assert all(len(set(turn)) == 3 for turn in zip(*given, strict=True))


def test_the_first_to_be_called_goes_round() -> None:
    called: list[str] = []
    take_turns([lambda _: called.append("a"), lambda _: called.append("b")], range(4))
    assert called == ["a", "b", "b", "a", "a", "b", "b", "a"]


def made() -> Catalogue:
    texts = [
        " ".join(
            ["item", *(word for share, word in WORD_OF.items() if row % round(1 / share) == 0)]
        )
        for row in range(COUNT)
    ]
    return Catalogue([str(row) for row in range(COUNT)], texts, [1.0] * COUNT)


@pytest.fixture(scope="module")
def attributes() -> Attributes:
    vectors = np.random.default_rng(1).normal(size=(COUNT, 8)).astype(np.float32)
    return Attributes(made(), vectors)


def test_words_are_chosen_that_are_as_frequent_as_is_wanted(attributes: Attributes) -> None:
    assert attributes.words == WORD_OF


def test_no_word_that_is_frequent_enough_is_no_reason_to_take_another() -> None:
    texts = Catalogue(["a", "b"], ["one", "two"], [0, 0])
    with pytest.raises(NotRun, match="no word"):
        Attributes(texts, np.eye(2, dtype=np.float32))


@pytest.mark.parametrize("share", SHARES)
def test_the_filters_match_what_they_say(attributes: Attributes, share: float) -> None:
    columns = AttributeColumns()
    columns.append([content.attributes for content in attributes.contents(range(COUNT))])
    for wanted, expected in attributes.filters(share):
        assert matching(columns, wanted, COUNT).tolist() == expected.tolist()


BINDING = EncoderBinding("tiny@1", 8)
ITEMS = 20


def contents(count: int) -> list[ItemContent]:
    return [ItemContent(f"i{number}", "", f"text {number}", {}, 0.0) for number in range(count)]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    vectors = np.eye(8, dtype=np.float32)[np.arange(ITEMS) % 8]
    return prepare(BINDING, contents(ITEMS), vectors, tmp_path, lambda _: None)


def new_items() -> Iterator[NewItem]:
    for number in itertools.count():
        vector = np.eye(8, dtype=np.float32)[number % 8]
        yield NewItem(ItemContent(f"new-{number}", "", "new", {}, 0.0), vector, False)


def test_what_is_prepared_is_in_the_index(home: Path) -> None:
    with opened(home) as held:
        assert (held.view.live_count, held.view.delta_count) == (ITEMS, 0)
    search = bare_search(home, 8)
    assert search(np.eye(8, dtype=np.float32)[1], 1)[0] % 8 == 1


def test_what_was_prepared_before_is_kept(home: Path) -> None:
    said: list[str] = []
    vectors = np.zeros((ITEMS, 8), np.float32)
    assert prepare(BINDING, contents(ITEMS), vectors, home.parent, said.append) == home
    assert said == []


def test_other_items_have_a_home_of_their_own(home: Path) -> None:
    vectors = np.eye(8, dtype=np.float32)
    assert prepare(BINDING, contents(8), vectors, home.parent, lambda _: None) != home


def test_a_half_made_home_is_made_anew(home: Path) -> None:
    (home / COMPLETE).unlink()
    vectors = np.eye(8, dtype=np.float32)[np.arange(ITEMS) % 8]
    prepare(BINDING, contents(ITEMS), vectors, home.parent, lambda _: None)
    with opened(home) as held:
        assert held.view.revision == ITEMS


def test_writes_to_a_copy_leave_what_was_prepared(home: Path) -> None:
    with copied(home, "copy") as copy, opened(copy) as held:
        held.upsert(list(itertools.islice(new_items(), 3)))
        assert held.view.live_count == ITEMS + 3
    assert not copy.exists()
    with opened(home) as held:
        assert held.view.live_count == ITEMS


def test_every_write_that_was_offered_is_acknowledged_and_found(home: Path) -> None:
    with copied(home, "copy") as copy, opened(copy) as held:
        with writing(held, new_items()) as writes:
            searching(lambda _: None, lambda: len(writes) >= 10)
        assert held.view.live_count == ITEMS + len(writes)


def test_a_write_that_fails_is_not_overlooked(home: Path) -> None:
    item = next(new_items())
    wrong = NewItem(ItemContent("x", "", "", {"no": object()}, 0.0), item.vector, False)
    with copied(home, "copy") as copy, opened(copy) as held:
        writes = writing(held, itertools.repeat(wrong))
        with pytest.raises(TypeError), writes:
            searching(lambda _: None, seconds=0.1)


def test_searches_are_numbered_from_nought_until_it_is_over() -> None:
    numbers: list[int] = []
    taken = searching(numbers.append, lambda: len(numbers) >= 5)
    assert numbers == list(range(len(taken)))
    assert len(taken) >= 5
