"""Persons are read once, then followed: what is held of them is what the store would say."""

import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pytest
from longtail.server.catalogue import people as module
from longtail.server.catalogue.behaviour import BehaviourView
from longtail.server.catalogue.people import Person
from longtail.server.store.activity import ActivityLog
from longtail.server.store.record_store import RecordStore
from longtail.server.store.records import Interaction, PersonRecord

from tests.unit.server.catalogues import Written, behaviour_of

NOBODY = frozenset[str]()


def deed(
    event_id: str, person: str = "ann", item: str = "a", kind: str = "view", time: int = 0
) -> Interaction:
    return Interaction(event_id, person, item, kind, 1.0, time, "")


@pytest.fixture
def view(written: Written) -> Iterator[BehaviourView]:
    with behaviour_of(written.store) as found:
        yield found


def told(store: RecordStore, person: str) -> list[tuple[str, str, float, int, str]]:
    """Return what the store says of a person, from the latest on."""
    page = store.interactions.list_page(user_id=person, item_id="", after=None, limit=100_000)
    return [(each.item_id, each.type, each.value, each.time, each.event_id) for each in page]


def check(store: RecordStore, person: str, held: Person) -> None:
    """What is held of a person is what the store says."""
    everything = told(store, person)
    assert list(held.history) == everything[: module.LOOKBACK]
    kinds = {kind for _, kind, *_ in everything}
    for types in (NOBODY, *(frozenset({kind}) for kind in kinds), frozenset({"buy", "view"})):
        met = {item for item, kind, *_ in everything if not types or kind in types}
        seen = held.seen(types)
        assert set(seen) == met
        assert len(seen) == len(met)
        assert all(item in seen for item in met)
        assert "never met" not in seen


def test_who_is_not_held_is_loaded_once(written: Written, view: BehaviourView) -> None:
    written.interact(deed("1", item="a", time=1), deed("2", item="b", time=3), deed("3", "bob"))
    view.follow()
    assert view.people.known("ann") is None
    ann = view.people.load("ann")
    assert [past.item_id for past in ann.history] == ["b", "a"]
    assert view.people.known("ann") is ann
    assert view.people.load("ann") is ann
    check(written.store, "ann", ann)


def test_nobody_is_held_too_and_becomes_somebody(written: Written, view: BehaviourView) -> None:
    stranger = view.people.load("stranger")
    assert (stranger.history, set(stranger.seen(NOBODY))) == ((), set())
    assert view.people.known("stranger") is stranger
    written.interact(deed("1", "stranger"))
    view.follow()
    held = view.people.known("stranger")
    assert held is not None
    check(written.store, "stranger", held)


@pytest.mark.parametrize("lookback", [1, 7, 200])
def test_a_person_who_is_followed_is_as_one_who_is_read(
    written: Written, view: BehaviourView, lookback: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOKBACK", lookback)
    random = np.random.default_rng(3)
    for step in range(60):
        written.interact(
            *(
                deed(
                    f"{random.integers(1000)}",
                    str(random.choice(["ann", "bob"])),
                    f"item {random.integers(30)}",
                    str(random.choice(["view", "buy", "like"])),
                    int(random.integers(20)),
                )
                for _ in range(int(random.integers(1, 5)))
            )
        )
        view.follow()
        for person in ("ann", "bob"):
            check(written.store, person, view.people.load(person))
        if step % 20 == 10:
            written.write(lambda tx: written.store.forget(tx, "bob"))
            view.follow()
            assert view.people.known("bob") is None


def test_the_store_may_be_ahead_of_what_is_followed(written: Written, view: BehaviourView) -> None:
    written.interact(deed("1", time=1))
    ann = view.people.load("ann")
    view.follow()
    assert len(ann.history) == 1
    check(written.store, "ann", ann)


def test_who_came_back_before_the_look_is_not_dropped(
    written: Written, view: BehaviourView
) -> None:
    written.interact(deed("1", item="a"))
    written.write(lambda tx: written.store.forget(tx, "ann"))
    written.interact(deed("2", item="b"))
    ann = view.people.load("ann")
    view.follow()
    assert view.people.known("ann") is ann
    check(written.store, "ann", ann)


def test_what_another_process_wrote_is_followed(written: Written) -> None:
    with closing(RecordStore.open(written.store.path)) as other, behaviour_of(other) as view:
        ann = view.people.load("ann")
        written.interact(deed("1"))
        view.follow()
        check(written.store, "ann", ann)


class Paused(ActivityLog):
    """Reads a person, and hands them over when `go` is set."""

    def __init__(self, log: ActivityLog) -> None:
        super().__init__(log._database, log._person_hash)
        self.read, self.go = threading.Event(), threading.Event()
        self.reads = 0

    def person(self, user_id: str, latest: int) -> PersonRecord:
        found = super().person(user_id, latest)
        self.reads += 1
        self.read.set()
        assert self.go.wait(60)
        return found


@pytest.mark.parametrize("how", ["told", "forgotten", "forgotten and told", "told and forgotten"])
def test_what_is_written_while_a_person_is_read_is_not_lost(
    written: Written, view: BehaviourView, how: str
) -> None:
    written.interact(deed("1", item="a"))
    view.follow()
    paused = written.store.activity = Paused(written.store.activity)
    with ThreadPoolExecutor(2) as threads:
        loads = [threads.submit(view.people.load, "ann") for _ in range(2)]
        assert paused.read.wait(60)
        for step in how.split(" and "):
            if step == "told":
                written.interact(deed("2", item="b", time=1))
            else:
                written.write(lambda tx: written.store.forget(tx, "ann"))
            view.follow()
        paused.go.set()
        ann, same = (load.result(60) for load in loads)
    assert ann is same
    assert paused.reads == 1
    check(written.store, "ann", ann)


def test_a_read_that_fails_leaves_nothing_behind(
    written: Written, view: BehaviourView, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(user_id: str, latest: int) -> PersonRecord:
        raise OSError("the disk is gone")

    with monkeypatch.context() as broken:
        broken.setattr(written.store.activity, "person", fail)
        with pytest.raises(OSError, match="the disk is gone"):
            view.people.load("ann")
    assert view.people.known("ann") is None
    assert view.people.load("ann").history == ()


def test_whoever_was_asked_for_longest_ago_goes_first(
    written: Written, view: BehaviourView, monkeypatch: pytest.MonkeyPatch
) -> None:
    written.interact(*(deed(f"{n}", "hoarder", f"item {n}") for n in range(100)))
    view.follow()
    monkeypatch.setattr(module, "BUDGET_BYTES", 3 * module.PERSON_BYTES)
    for person in ("ann", "bob", "cid"):
        view.people.load(person)
    assert view.people.known("ann") is not None
    view.people.load("dan")
    held = [name for name in ("ann", "bob", "cid", "dan") if view.people.known(name) is not None]
    assert held == ["ann", "cid", "dan"]
    # Whoever is larger than all room is held alone, until another comes.
    hoarder = view.people.load("hoarder")
    assert view.people.known("hoarder") is hoarder
    assert view.people.known("dan") is None
    view.people.load("ann")
    assert view.people.known("hoarder") is None


def test_growing_takes_room(
    written: Written, view: BehaviourView, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BUDGET_BYTES", 4 * module.PERSON_BYTES)
    view.people.load("bob")
    view.people.load("ann")
    written.interact(*(deed(f"{n}", "ann", f"item {n}") for n in range(20)))
    view.follow()
    assert view.people.known("bob") is None
    assert view.people.known("ann") is not None


def test_readers_beside_the_follower_see_whole_persons(
    written: Written, view: BehaviourView, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BUDGET_BYTES", 40 * module.PERSON_BYTES)
    # Threads that take turns more often meet each other in more places, and wait less.
    interval = sys.getswitchinterval()
    stop = threading.Event()
    names = [f"person {n}" for n in range(8)]

    def read(seed: int) -> int:
        random, count = np.random.default_rng(seed), 0
        while not stop.is_set() or not count:
            name = names[random.integers(len(names))]
            person = view.people.known(name) or view.people.load(name)
            history = person.history
            assert all(past.event_id.startswith(name) for past in history)
            times = [past.time for past in history]
            assert times == sorted(times, reverse=True)
            seen = person.seen(frozenset({"view"}))
            assert all(past.item_id in seen for past in person.history if past.type == "view")
            assert {past.item_id for past in history} <= set(person.seen(NOBODY))
            count += 1
        return count

    with ThreadPoolExecutor(4) as threads:
        readers = [threads.submit(read, seed) for seed in range(4)]
        random = np.random.default_rng(9)
        sys.setswitchinterval(1e-5)
        try:
            for step in range(150):
                name = names[random.integers(len(names))]
                item, kind = f"item {random.integers(40)}", ["view", "buy"][step % 2]
                written.interact(deed(f"{name} {step}", name, item, kind, step))
                view.follow()
                if step % 40 == 30:
                    written.write(lambda tx, n=name: written.store.forget(tx, n))  # type: ignore[misc]
                    view.follow()
        finally:
            stop.set()
            sys.setswitchinterval(interval)
        assert all(reader.result(60) for reader in readers)
    for name in names:
        check(written.store, name, view.people.load(name))


def test_many_types_of_one_item_take_no_more_than_they_are(
    written: Written, view: BehaviourView
) -> None:
    ann = view.people.load("ann")
    written.interact(*(deed(str(number), kind=f"type {number}") for number in range(300)))
    view.follow()
    check(written.store, "ann", ann)
    # Of the sets of types there is only the one that an item has.
    assert len(ann._sizes) == 1
