import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from longtail.server.store.records import Operation, OperationKind, OperationState, RecordedRequest
from sqlalchemy.exc import IntegrityError

from tests.unit.server.store_records import Opened, opened


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Opened]:
    with opened(tmp_path / "data" / "longtail.db") as store:
        yield store


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list whose last element is the time in microseconds."""
    times = [10]
    monkeypatch.setattr(time, "time_ns", lambda: times[-1] * 1000)
    return times


def record(it: Opened, request_id: str) -> None:
    it.do(lambda tx: it.store.requests.record(tx, request_id, "Upsert", b"digest", b"reply"))


def found(it: Opened, request_id: str) -> RecordedRequest | None:
    return it.do(lambda tx: it.store.requests.find(tx, request_id))


def create(it: Opened, kind: OperationKind = OperationKind.CREATE_SNAPSHOT) -> Operation:
    return it.do(lambda tx: it.store.operations.create(tx, kind, {"model_id": "m"}))


def test_a_request_is_found_under_its_id_and_recorded_once(it: Opened) -> None:
    record(it, "r")
    assert found(it, "r") == RecordedRequest("Upsert", b"digest", b"reply")
    assert found(it, "other") is None
    with pytest.raises(IntegrityError):
        record(it, "r")


def test_old_requests_are_forgotten_the_oldest_first(it: Opened, clock: list[int]) -> None:
    for moment in (11, 12, 13):
        clock.append(moment)
        record(it, f"{moment}")
    assert it.do(lambda tx: it.store.requests.prune(tx, 13, 1)) == 1
    assert [found(it, name) is None for name in ("11", "12", "13")] == [True, False, False]
    assert it.do(lambda tx: it.store.requests.prune(tx, 13, 10)) == 1
    assert found(it, "13") is not None


def test_a_request_from_before_the_clock_was_set_back_does_not_stay_for_ever(
    it: Opened, clock: list[int]
) -> None:
    clock.append(1_000_000)
    record(it, "r")
    clock.append(50)
    assert it.do(lambda tx: it.store.requests.prune(tx, 40, 10)) == 0
    clock.append(100)
    assert it.do(lambda tx: it.store.requests.prune(tx, 90, 10)) == 1


def test_an_operation_that_has_ended_is_not_begun_anew_by_who_comes_late(it: Opened) -> None:
    operation = create(it)
    for state in (OperationState.RUNNING, OperationState.SUCCEEDED, OperationState.RUNNING):
        late = replace(operation, state=state, done=5)
        it.do(lambda tx: it.store.operations.update(tx, late))  # noqa: B023
    assert it.store.operations.unfinished() == []
    held = it.store.operations.get(operation.id)
    assert held is not None
    assert held.state == OperationState.SUCCEEDED


def test_operations_come_in_the_order_of_creation_though_the_clock_is_set_back(
    it: Opened, clock: list[int]
) -> None:
    first = create(it, OperationKind.REBUILD_INDEX)
    clock.append(5)
    second = create(it)
    assert it.store.operations.unfinished() == [first, second]
    assert it.store.operations.get(first.id) == first
    assert it.store.operations.get("none") is None

    failed = replace(first, state=OperationState.FAILED, error_code=15, error_message="lost")
    clock.append(20)
    it.do(lambda tx: it.store.operations.update(tx, failed))
    assert it.store.operations.get(first.id) == replace(failed, update_time=20)
    assert it.store.operations.unfinished() == [second]
    assert it.do(lambda tx: it.store.operations.prune(tx, 20)) == 0
    assert it.do(lambda tx: it.store.operations.prune(tx, 21)) == 1
    assert it.store.operations.unfinished() == [second]
