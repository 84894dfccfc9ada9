"""Batches, retries and counts; what is retried, and for how long."""

from collections.abc import Iterator, Sequence

import grpc
import pytest
from google.rpc import status_pb2
from longtail.client.calls.errors import LongtailError
from longtail.client.importing import sender
from longtail.client.importing.sender import Acknowledgement, ImportReport, Numbered, send
from longtail.v1.item_pb2 import Item

from tests.unit.client.fake_items import BAD_TITLE

FULL_DISK = LongtailError(grpc.StatusCode.RESOURCE_EXHAUSTED, "no space", reason="STORAGE_FULL")
BUSY = LongtailError(grpc.StatusCode.RESOURCE_EXHAUSTED, "busy", retry_after=0.0)
AWAY = LongtailError(grpc.StatusCode.UNAVAILABLE, "away")
LATE = LongtailError(grpc.StatusCode.DEADLINE_EXCEEDED, "late")


class Writer:
    """Fails with each of `failures`, then takes everything except what is titled "refuse me"."""

    def __init__(self, *failures: LongtailError) -> None:
        self.failures = list(failures)
        self.sizes: list[int] = []
        self.request_ids: list[str] = []

    def __call__(self, items: Sequence[Item], request_id: str) -> Acknowledgement:
        self.request_ids.append(request_id)
        self.sizes.append(len(items))
        if self.failures:
            raise self.failures.pop(0)
        statuses = [
            BAD_TITLE if item.title == "refuse me" else status_pb2.Status() for item in items
        ]
        return Acknowledgement(statuses, sum(status.code == 0 for status in statuses), 3)


def items(count: int, text: str = "") -> list[Numbered[Item]]:
    return [Numbered(number + 2, Item(id=str(number), text=text)) for number in range(count)]


@pytest.fixture(autouse=True)
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "FIRST_BACKOFF_SECONDS", 0.0)


def test_everything_is_sent_in_batches() -> None:
    writer, report = Writer(), ImportReport()
    send(items(600), writer, report)

    assert sorted(writer.sizes) == [88, 256, 256]
    assert (report.imported, report.revision) == (600, 3)


def test_batches_are_bounded_in_bytes_too() -> None:
    writer, report = Writer(), ImportReport()
    send(items(256, text="x" * 80_000), writer, report)

    assert sum(writer.sizes) == 256
    assert max(writer.sizes) <= sender.BATCH_BYTES // 80_000


def test_what_the_server_refuses_is_known_by_line_and_field() -> None:
    writer, report = Writer(), ImportReport()
    send([Numbered(9, Item(id="1", title="refuse me")), *items(3)], writer, report)

    assert report.imported == 3
    assert report.dropped["refused by the server (title)"].lines == [9]


@pytest.mark.parametrize("failure", [BUSY, AWAY], ids=["busy", "away"])
def test_a_server_that_comes_back_gets_the_same_batch(failure: LongtailError) -> None:
    writer, report = Writer(failure, failure), ImportReport()
    send(items(10), writer, report)

    assert writer.sizes == [10, 10, 10]
    assert len(set(writer.request_ids)) == 1
    assert report.imported == 10


def test_a_batch_that_is_too_much_for_a_deadline_is_halved() -> None:
    writer, report = Writer(LATE), ImportReport()
    send(items(11), writer, report)

    assert writer.sizes == [11, 5, 6]
    assert len(set(writer.request_ids)) == 3
    assert report.imported == 11


def test_a_full_disk_is_not_waited_for() -> None:
    writer = Writer(FULL_DISK)
    with pytest.raises(LongtailError, match="no space"):
        send(items(10), writer, ImportReport())
    assert writer.sizes == [10]


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "PATIENCE_SECONDS", -1.0)
    with pytest.raises(LongtailError, match="away"):
        send(items(10), Writer(AWAY), ImportReport())


def test_what_was_acknowledged_before_an_interruption_is_counted() -> None:
    def interrupted() -> Iterator[Numbered[Item]]:
        yield from items(256 + 1)
        raise KeyboardInterrupt

    writer, report = Writer(), ImportReport()
    with pytest.raises(KeyboardInterrupt):
        send(interrupted(), writer, report)
    assert report.imported == sum(writer.sizes)


def test_what_was_acknowledged_before_a_failure_is_counted() -> None:
    answered: list[int] = []

    def write(batch: Sequence[Item], _request_id: str) -> Acknowledgement:
        if batch[0].id == "256":
            raise FULL_DISK
        answered.append(len(batch))
        return Acknowledgement([status_pb2.Status() for _ in batch], len(batch), 4)

    report = ImportReport()
    with pytest.raises(LongtailError):
        send(items(256 * 3), write, report)
    assert report.imported == sum(answered)
