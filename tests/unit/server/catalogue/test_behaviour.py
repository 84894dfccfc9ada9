"""What people did is followed: at start, after each write, from other processes, and forgotten."""

import logging
import threading
from array import array
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest
from longtail.server.catalogue.behaviour import COMPLETE, BehaviourView
from longtail.server.ranking.likes import NUMBER
from longtail.server.store.activity import ActivityLog
from longtail.server.store.record_store import RecordStore
from longtail.server.store.records import Activity, Interaction, Opinions

from tests.unit.server.catalogues import Written, behaviour_of, opened

Likes = dict[str, set[str]]


def opinion(person: str, item: str, value: float = 1.0, time: int = 0) -> Interaction:
    event_id = f"{person}:{item}:{value}:{time}"
    return Interaction(event_id, person, item, "rating", value, time, "")


def likes(view: BehaviourView, *people: str) -> Likes:
    """Return what each of `people` likes, who like something."""
    behaviour, person_hash = view.behaviour, view.people._person_hash
    numbers = {person: behaviour._person_of.get(person_hash(person)) for person in people}
    return {
        person: {behaviour.ids[item] for item in array(NUMBER, behaviour._likes[number])}
        for person, number in numbers.items()
        if number is not None and behaviour._likes[number]
    }


def test_what_is_recorded_at_start_is_known(written: Written) -> None:
    written.interact(opinion("ann", "a"), opinion("ann", "b"), opinion("bob", "b"))
    with behaviour_of(written.store) as view:
        assert view.is_complete
        assert likes(view, "ann", "bob") == {"ann": {"a", "b"}, "bob": {"b"}}


def test_a_start_ends_with_a_regression_on_a_small_store(written: Written) -> None:
    for person in range(5):
        written.interact(*(opinion(f"p{person}", item) for item in "abc"))
    with BehaviourView(written.store, fit_seconds=60.0, patience_seconds=60.0) as view:
        regression = view.behaviour._regression
        assert regression is not None
        assert regression.support.tolist() == [5.0] * 3


def test_without_time_for_a_regression_there_is_none(written: Written) -> None:
    written.interact(opinion("ann", "a"), opinion("bob", "a"))
    with BehaviourView(written.store, patience_seconds=60.0) as view:
        assert view.is_complete
        assert view.behaviour._regression is None


def test_a_write_counts_when_it_is_acknowledged(tmp_path: Path) -> None:
    views: list[BehaviourView] = []

    def follow() -> None:
        for view in views:
            view.follow()

    with ExitStack() as stack:
        written = stack.enter_context(opened(tmp_path, follow))
        views.append(stack.enter_context(behaviour_of(written.store)))
        for number in range(20):
            written.interact(opinion("ann", f"item {number}"))
            assert f"item {number}" in likes(views[0], "ann")["ann"]


def test_what_another_process_wrote_is_followed(written: Written) -> None:
    other = RecordStore.open(written.store.path)
    with behaviour_of(other) as view:
        written.interact(opinion("ann", "a"))
        view.follow()
        assert likes(view, "ann") == {"ann": {"a"}}
    other.close()


def test_a_dislike_takes_a_like_back_and_no_value_says_nothing(written: Written) -> None:
    written.interact(opinion("ann", "a"), opinion("ann", "b"), opinion("ann", "c", 0.0))
    with behaviour_of(written.store) as view:
        written.interact(opinion("ann", "a", -1.0), opinion("ann", "b", 0.0))
        view.follow()
        assert likes(view, "ann") == {"ann": {"b"}}


def test_opinions_of_one_write_are_taken_in_the_order_of_time(written: Written) -> None:
    written.interact(
        opinion("ann", "a", -1.0, time=2),
        opinion("ann", "a", 1.0, time=1),
        opinion("ann", "b", 1.0, time=2),
        opinion("ann", "b", -1.0, time=1),
    )
    with behaviour_of(written.store) as view:
        assert likes(view, "ann") == {"ann": {"b"}}


def test_a_person_is_forgotten_and_may_come_back(written: Written) -> None:
    with behaviour_of(written.store) as view:
        written.interact(opinion("ann", "a"), opinion("bob", "a"))
        view.follow()
        written.write(lambda tx: written.store.forget(tx, "ann"))
        view.follow()
        assert likes(view, "ann", "bob") == {"bob": {"a"}}
        assert view.behaviour.support(np.array([0])).tolist() == [1]
        assert written.store.person_hash("ann") not in view.behaviour._person_of
        written.interact(opinion("ann", "b"))
        view.follow()
        assert likes(view, "ann") == {"ann": {"b"}}
    with behaviour_of(written.store) as afterwards:
        assert likes(afterwards, "ann", "bob") == {"ann": {"b"}, "bob": {"a"}}


def test_forgotten_and_come_back_between_two_looks(written: Written) -> None:
    with behaviour_of(written.store) as view:
        written.interact(opinion("ann", "a"))
        view.follow()
        written.write(lambda tx: written.store.forget(tx, "ann"))
        written.interact(opinion("ann", "b"))
        view.follow()
        assert likes(view, "ann") == {"ann": {"b"}}


def test_the_store_keeps_no_id_of_who_was_forgotten(written: Written) -> None:
    written.interact(opinion("someone-to-forget", "a"))
    written.write(lambda tx: written.store.forget(tx, "someone-to-forget"))
    until = written.store.changes.position().revision
    gone = [(written.store.person_hash("someone-to-forget"), until)]
    assert written.store.activity.since(0) == Activity(until, gone, [])


class Slow(ActivityLog):
    """Lets no opinion through until `go` is set."""

    def __init__(self, log: ActivityLog) -> None:
        super().__init__(log._database, log._person_hash)
        self.go = threading.Event()

    @contextmanager
    def opinions(self) -> Iterator[tuple[int, Iterator[Opinions]]]:
        with super().opinions() as (revision, parts):

            def slowly() -> Iterator[Opinions]:
                assert self.go.wait(60)
                yield from parts

            yield revision, slowly()


def test_serving_does_not_wait_for_a_large_store(written: Written) -> None:
    written.interact(opinion("ann", "a"))
    slow = written.store.activity = Slow(written.store.activity)
    with BehaviourView(written.store, patience_seconds=0.01) as view:
        assert not view.is_complete
        assert likes(view, "ann") == {}
        # A write meanwhile is not lost, whether it is followed before all is read or not.
        written.interact(opinion("ann", "b"))
        view.follow()
        written.interact(opinion("ann", "c"))
        slow.go.set()
        view._loaded.wait(60)
        assert view.is_complete
        assert likes(view, "ann") == {"ann": {"a", "b", "c"}}


def test_who_is_forgotten_while_all_is_read_is_forgotten(written: Written) -> None:
    written.interact(opinion("ann", "a"), opinion("bob", "a"))
    slow = written.store.activity = Slow(written.store.activity)
    with BehaviourView(written.store, patience_seconds=0.01) as view:
        written.write(lambda tx: written.store.forget(tx, "ann"))
        written.interact(opinion("bob", "b"))
        view.follow()
        slow.go.set()
        view._loaded.wait(60)
        assert likes(view, "ann", "bob") == {"bob": {"a", "b"}}


def test_leaving_ends_a_load(written: Written) -> None:
    written.interact(opinion("ann", "a"), opinion("ann", "b"))
    slow = written.store.activity = Slow(written.store.activity)
    view = BehaviourView(written.store, patience_seconds=0.01)
    # Reading goes on when the view is told to end.
    slow.go = view._stopped
    with view:
        pass
    assert not view.is_complete


def test_what_failed_to_load_is_tried_again(
    written: Written, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = threading.Event()

    @contextmanager
    def failing() -> Iterator[tuple[int, Iterator[Opinions]]]:
        if not whole.is_set():
            raise OSError("the disk is gone")
        store = written.store
        with ActivityLog(store.activity._database, store.person_hash).opinions() as found:
            yield found

    monkeypatch.setattr("longtail.server.catalogue.behaviour.RETRY_SECONDS", 0.01)
    monkeypatch.setattr(written.store.activity, "opinions", failing)
    written.interact(opinion("ann", "a"))
    with (
        caplog.at_level(logging.ERROR),
        BehaviourView(written.store, patience_seconds=0.05) as view,
    ):
        # There are answers all the while, and what is recorded is followed.
        written.interact(opinion("ann", "b"))
        view.follow()
        assert not view.is_complete
        assert COMPLETE._value.get() == 0
        assert likes(view, "ann") == {}
        whole.set()
        view._loaded.wait(60)
        assert view.is_complete
        assert COMPLETE._value.get() == 1
        assert likes(view, "ann") == {"ann": {"a", "b"}}
    assert "behaviour not loaded" in caplog.text
