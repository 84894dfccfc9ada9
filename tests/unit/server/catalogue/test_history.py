"""A history is made once, and anew when the person or the catalogue is another."""

import gc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from weakref import ref

import numpy as np
import pytest
from longtail.server.catalogue.history import HISTORY_LENGTH, history_of
from longtail.server.catalogue.made import History
from longtail.server.catalogue.people import People
from longtail.server.catalogue.replica import CatalogueReplica
from longtail.server.catalogue.spaces.space import ADAPTED
from longtail.server.store.records import Interaction

from tests.unit.server.catalogues import Written, indexer_of, item, opened, unit, view_of
from tests.unit.server.heads import head


@dataclass
class World:
    """A store, the view of its items and its people."""

    written: Written
    view: CatalogueReplica
    people: People
    folder: Path
    revision: int = 0

    def like(self, number: int, item_id: str, value: float = 1.0) -> None:
        event = Interaction(str(number), "ann", item_id, "like", value, number, "")
        self.written.interact(event)
        self.follow()

    def follow(self) -> None:
        activity = self.written.store.activity.since(self.revision)
        self.people.take_in(activity)
        self.revision = activity.revision
        self.view.follow()

    def history(self) -> History:
        state = self.view.state
        return history_of(self.people.load("ann"), state, state.revision, state.spaces.get(ADAPTED))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with opened(tmp_path) as written:
        written.upsert(*(item(name, seed) for seed, name in enumerate("abcdef", 1)))
        made = World(written, view_of(written, tmp_path), People(written.store), tmp_path)
        made.follow()
        yield made


def test_nobody_who_did_nothing_has_a_history(world: World) -> None:
    history = world.history()
    assert (history.item_ids, len(history.rows), history.interests) == ([], 0, ())


def test_the_same_history_serves_the_next_request(world: World) -> None:
    world.like(1, "a")
    made = world.history()
    assert made.item_ids == ["a"]
    assert world.history() is made
    # What others do, and what is counted of it, changes nothing.
    world.written.interact(Interaction("x", "bob", "b", "like", 1.0, 5, ""))
    world.follow()
    assert world.history() is made


def test_what_a_person_does_makes_another(world: World) -> None:
    world.like(1, "a")
    world.history()
    world.like(2, "b", -1.0)
    history = world.history()
    assert history.item_ids == ["a"]
    assert len(history.disliked) == 1
    world.like(3, "a", -1.0)
    assert world.history().item_ids == []
    assert world.history().interests == ()


def test_an_item_that_is_written_anew_counts_as_it_is(world: World) -> None:
    world.like(1, "a")
    before = world.history()
    world.written.upsert(item("a", 40))
    world.follow()
    after = world.history()
    assert after.rows.tolist() != before.rows.tolist()
    [interest] = after.interests
    np.testing.assert_allclose(interest.vector, unit(40), atol=1e-6)


def test_an_item_that_goes_counts_no_more(world: World) -> None:
    world.like(1, "a")
    world.history()
    world.written.remove("a")
    world.follow()
    assert world.history().item_ids == []


def test_rows_are_those_of_the_catalogue_that_is_asked(world: World) -> None:
    world.like(1, "a")
    world.like(2, "f")
    world.history()
    world.written.remove("b", "c")
    world.follow()
    before = world.view.state.columns
    indexer = indexer_of(world.written, world.view, world.folder)
    indexer.rebuild(world.view.state.encoder, lambda *_: None)
    columns = world.view.state.columns
    assert columns is not before
    assert [columns.ids[row] for row in world.history().rows.tolist()] == ["f", "a"]


def test_vectors_by_a_head_are_those_of_the_head_in_service_and_hold_no_other(world: World) -> None:
    world.like(1, "a")
    assert world.history().adapted is None
    world.view.adapt(head(1))
    first, before = world.history(), ref(world.view.state.spaces[ADAPTED])
    assert first.adapted is not None
    assert world.history() is first
    world.view.adapt(head(2))
    # Whoever asks no more keeps nothing of the space that was replaced.
    gc.collect()
    assert before() is None
    second = world.history().adapted
    assert second is not None
    assert not np.allclose(second.vectors, first.adapted.vectors)


def test_who_asks_for_an_earlier_revision_sees_nothing_of_later_ones(world: World) -> None:
    world.like(1, "a")
    state, earlier = world.view.state, world.view.state.revision
    before = world.history()
    world.written.upsert(item("a", 40))
    world.follow()
    assert world.view.state is state
    late = history_of(world.people.load("ann"), state, earlier, state.spaces.get(ADAPTED))
    assert late.rows.tolist() == before.rows.tolist()
    assert world.history().rows.tolist() != before.rows.tolist()


def test_a_person_who_was_forgotten_has_no_history(world: World) -> None:
    world.like(1, "a")
    world.history()
    world.written.write(lambda tx: world.written.store.forget(tx, "ann"))
    world.follow()
    assert world.history().item_ids == []


def test_only_the_latest_opinions_count(world: World) -> None:
    for number in range(HISTORY_LENGTH // 10):
        names = [f"{number} {at}" for at in range(11)]
        world.written.upsert(*(item(name, 100 + at) for at, name in enumerate(names)))
        events = [
            Interaction(f"{name} e", "ann", name, "like", 1.0, 100 * number + at, "")
            for at, name in enumerate(names)
        ]
        world.written.interact(*events)
    world.follow()
    history = world.history()
    assert len(history.rows) == HISTORY_LENGTH
    assert history.item_ids[0] == "9 10"
