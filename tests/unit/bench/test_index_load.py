"""The load on a real store: what is offered is what is written, and a failure is noticed."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from longtail.server.store.records import EncoderBinding, ItemContent, NewItem

from bench.index.load import search_at, writing
from bench.index.prepared import Opened, copied, opened, prepare

BINDING = EncoderBinding("tiny@1", 8)
COUNT = 20


def contents(count: int) -> list[ItemContent]:
    return [ItemContent(f"i{number}", "", f"text {number}", {}, 0.0) for number in range(count)]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    vectors = np.eye(8, dtype=np.float32)[np.arange(COUNT) % 8]
    return prepare(BINDING, contents(COUNT), vectors, tmp_path, lambda _: None)


def new_items() -> Iterator[NewItem]:
    for number in itertools.count():
        vector = np.eye(8, dtype=np.float32)[number % 8]
        yield NewItem(ItemContent(f"new-{number}", "", "new", {}, 0.0), vector, False)


def in_index(held: Opened) -> int:
    return held.view.live_count - held.view.delta_count


def test_what_is_prepared_is_in_the_index(home: Path) -> None:
    with opened(home) as held:
        assert (held.view.live_count, in_index(held)) == (COUNT, COUNT)
        assert len(held.generation.table) == COUNT


def test_what_was_prepared_before_is_kept(home: Path) -> None:
    said: list[str] = []
    vectors = np.zeros((COUNT, 8), np.float32)
    assert prepare(BINDING, contents(COUNT), vectors, home.parent, said.append) == home
    assert said == []


def test_other_items_have_a_home_of_their_own(home: Path) -> None:
    vectors = np.eye(8, dtype=np.float32)
    assert prepare(BINDING, contents(8), vectors, home.parent, lambda _: None) != home


def test_a_half_made_home_is_made_anew(home: Path) -> None:
    (home / "complete").unlink()
    vectors = np.eye(8, dtype=np.float32)[np.arange(COUNT) % 8]
    prepare(BINDING, contents(COUNT), vectors, home.parent, lambda _: None)
    with opened(home) as held:
        assert held.view.revision == COUNT


def test_writes_to_a_copy_leave_what_was_prepared(home: Path) -> None:
    with copied(home, "copy") as copy, opened(copy) as held:
        held.upsert(list(itertools.islice(new_items(), 3)))
        assert held.view.live_count == COUNT + 3
    assert not copy.exists()
    with opened(home) as held:
        assert held.view.live_count == COUNT


def test_every_write_that_was_offered_is_acknowledged_and_found(home: Path) -> None:
    with copied(home, "copy") as copy, opened(copy) as held:
        with writing(held, new_items(), rate=100) as writes:
            search_at(50, lambda _: None, lambda _: len(writes.latencies) >= 10)
        assert held.view.live_count == COUNT + len(writes.latencies)


def test_a_write_that_fails_is_not_overlooked(home: Path) -> None:
    item = next(new_items())
    wrong = NewItem(ItemContent("x", "", "", {"no": object()}, 0.0), item.vector, False)
    with copied(home, "copy") as copy, opened(copy) as held:
        writes = writing(held, itertools.repeat(wrong), rate=100)
        with pytest.raises(TypeError), writes as begun:
            search_at(50, lambda _: None, lambda _: len(begun.latencies) >= 1)


def test_searches_are_numbered_from_nought_until_it_is_over() -> None:
    numbers: list[int] = []
    latencies = search_at(1e6, numbers.append, lambda _: len(numbers) == 100)
    assert numbers == list(range(100))
    assert len(latencies) == 100
