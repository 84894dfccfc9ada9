"""Which failures of a batch are borne, and for how long."""

from threading import Event

import grpc
import pytest
from longtail.client.calls.errors import LongtailError
from longtail.client.importing import patience
from longtail.client.importing.patience import write_patiently
from longtail.v1.item_pb2 import Item

from tests.unit.client.importing.writer import Writer

FULL_DISK = LongtailError(grpc.StatusCode.RESOURCE_EXHAUSTED, "no space", reason="STORAGE_FULL")
BUSY = LongtailError(grpc.StatusCode.RESOURCE_EXHAUSTED, "busy", retry_after=0.0)
AWAY = LongtailError(grpc.StatusCode.UNAVAILABLE, "away")
LATE = LongtailError(grpc.StatusCode.DEADLINE_EXCEEDED, "late")


def recorded(count: int, writer: Writer) -> int:
    items = [Item(id=str(number)) for number in range(count)]
    return sum(answer.recorded for answer in write_patiently(items, writer, Event()))


@pytest.fixture(autouse=True)
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "FIRST_BACKOFF_SECONDS", 0.0)


@pytest.mark.parametrize("failure", [BUSY, AWAY], ids=["busy", "away"])
def test_a_server_that_comes_back_gets_the_same_batch(failure: LongtailError) -> None:
    writer = Writer(failure, failure)

    assert recorded(10, writer) == 10
    assert writer.sizes == [10, 10, 10]
    assert len(set(writer.request_ids)) == 1


def test_a_batch_that_is_too_much_for_a_deadline_is_halved() -> None:
    writer = Writer(LATE)

    assert recorded(11, writer) == 11
    assert writer.sizes == [11, 5, 6]
    assert len(set(writer.request_ids)) == 3


def test_a_full_disk_is_not_waited_for() -> None:
    writer = Writer(FULL_DISK)
    with pytest.raises(LongtailError, match="no space"):
        recorded(10, writer)
    assert writer.sizes == [10]


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", -1.0)
    with pytest.raises(LongtailError, match="away"):
        recorded(10, Writer(AWAY))


def test_who_is_told_to_stop_waits_no_more() -> None:
    writer, stopped = Writer(BUSY), Event()
    stopped.set()
    with pytest.raises(LongtailError, match="busy"):
        write_patiently([Item(id="1")], writer, stopped)
    assert writer.sizes == [1]
