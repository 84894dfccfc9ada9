"""Leases: a range is one holder's, a dead one's goes over, none outlives its operation."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from longtail.server.store.leases import Lease, LeaseLost, Refusal, TextRange
from longtail.server.store.record_store import RecordStore
from longtail.server.store.records import Operation, OperationKind, OperationState

from tests.postgresql import PostgreSQL
from tests.unit.server.store_records import Opened, new_item, opened

RANGES = [TextRange(0, 10, 7), TextRange(10, 15, 5)]


@pytest.fixture(scope="module")
def shared(postgresql: PostgreSQL) -> Iterator[Opened]:
    """Return a store on PostgreSQL: each test begins an operation, which ends all before it."""
    url = postgresql.new_database()
    with (
        closing(RecordStore.open(url)) as store,
        store.group_commit(lambda: None, max_waiting=1000) as writer,
    ):
        yield Opened(store, writer)
    postgresql.drop(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def it(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opened]:
    if request.param == "sqlite":
        with opened(tmp_path / "data" / "longtail.db") as store:
            yield store
    else:
        yield request.getfixturevalue("shared")


def begin(it: Opened) -> Operation:
    kind = OperationKind.REBUILD_INDEX
    operation = it.do(lambda tx: it.store.operations.create(tx, kind, {}))
    it.do(lambda tx: it.store.leases.begin(tx, operation.id))
    return operation


def divided(it: Opened) -> Operation:
    operation = begin(it)
    it.do(lambda tx: it.store.leases.divide(tx, operation.id, 2, RANGES))
    return operation


def take(it: Opened, holder: str, *dead: Lease) -> Lease | None:
    return it.do(lambda tx: it.store.leases.take(tx, holder, dead))


def taken(it: Opened, holder: str, *dead: Lease) -> Lease:
    lease = take(it, holder, *dead)
    assert lease is not None
    return lease


def advance(it: Opened, lease: Lease, done: int, goal: int) -> None:
    it.do(lambda tx: it.store.leases.advance(tx, lease, done, goal))


def test_who_divides_what_another_has_divided_adds_nothing(it: Opened) -> None:
    operation = divided(it)
    again = [TextRange(10, 14, 4)]
    assert not it.do(lambda tx: it.store.leases.divide(tx, operation.id, 2, again))
    assert [each.last for each in it.store.leases.unfinished()] == [10, 15]
    further = [TextRange(15, 20, 2)]
    assert it.do(lambda tx: it.store.leases.divide(tx, operation.id, 2, further))
    assert it.store.leases.divided(operation.id) == 20


def test_each_range_is_taken_by_one_and_in_order(it: Opened) -> None:
    operation = divided(it)
    assert it.store.leases.divided(operation.id) == 15
    first, second = taken(it, "a"), taken(it, "b")
    assert first == Lease(operation.id, 2, 0, 10, 7, 0, "a", 1)
    assert (second.after, second.last, second.holder) == (10, 15, "b")
    assert take(it, "c") is None
    assert it.store.leases.unfinished() == [first, second]


def test_a_range_is_finished_at_its_goal_and_given_out_no_more(it: Opened) -> None:
    divided(it)
    lease = taken(it, "a")
    advance(it, lease, 4, 6)
    assert [each.done for each in it.store.leases.unfinished()] == [4, 0]
    # One text less than when it was divided: it was replaced.
    advance(it, lease, 2, 6)
    assert [each.last for each in it.store.leases.unfinished()] == [15]
    assert taken(it, "b").last == 15
    with pytest.raises(LeaseLost):
        advance(it, lease, 1, 6)


def test_a_dead_holder_loses_its_range_and_one_that_gives_a_sign_does_not(it: Opened) -> None:
    divided(it)
    lost, alive = taken(it, "dead"), taken(it, "alive")
    advance(it, lost, 3, 7)
    seen = it.store.leases.unfinished()
    it.do(lambda tx: it.store.leases.beat(tx, "alive"))
    over = taken(it, "heir", *seen)
    assert (over.last, over.done, over.holder) == (10, 3, "heir")
    assert take(it, "heir", *seen) is None
    # Who was taken for dead finds out, and counts nothing any more.
    with pytest.raises(LeaseLost):
        advance(it, lost, 4, 7)
    advance(it, alive, 5, 5)
    advance(it, over, 4, 7)
    assert it.store.leases.unfinished() == []


def test_what_is_given_back_is_there_for_others(it: Opened) -> None:
    divided(it)
    for _ in RANGES:
        taken(it, "a")
    it.do(lambda tx: it.store.leases.give_back(tx, "a"))
    assert [taken(it, "b").last for _ in RANGES] == [10, 15]


def test_nothing_is_encoded_for_an_operation_that_has_ended(it: Opened) -> None:
    operation = divided(it)
    lease = taken(it, "a")
    ended = replace(operation, state=OperationState.FAILED)
    it.do(lambda tx: it.store.operations.update(tx, ended))
    assert it.store.leases.unfinished() == []
    assert take(it, "b") is None
    with pytest.raises(LeaseLost):
        advance(it, lease, 1, 7)
    other = begin(it)
    assert it.store.leases.divided(operation.id) == it.store.leases.divided(other.id) == 0


def test_an_operation_that_is_taken_up_keeps_its_ranges(it: Opened) -> None:
    operation = divided(it)
    lease = taken(it, "a")
    it.do(lambda tx: it.store.leases.begin(tx, operation.id))
    advance(it, lease, 1, 7)
    it.do(lambda tx: it.store.leases.end(tx, operation.id))
    assert it.store.leases.unfinished() == []
    assert it.store.leases.divided(operation.id) == 0


def test_refusals_count_as_long_as_the_item_stays_what_it_is(it: Opened) -> None:
    it.upsert(*(new_item(name) for name in ("a", "b", "c")))
    operation, store = begin(it), it.store
    refusals = {
        text.id: Refusal(text.revision, 3, f"no {text.id}")
        for text in store.encoders.pending(it.encoder_id + 1, 9)
    }
    it.do(lambda tx: store.leases.refuse(tx, operation.id, refusals))
    # Taken over, a range comes upon them again.
    it.do(lambda tx: store.leases.refuse(tx, operation.id, refusals))
    assert store.leases.refused(operation.id, 2) == (3, {k: refusals[k] for k in ("a", "b")})
    it.upsert(new_item("a", "Another title"))
    it.remove("b")
    assert store.leases.refused(operation.id, 2) == (1, {"c": refusals["c"]})
    begin(it)
    assert store.leases.refused(operation.id, 2) == (0, {})
