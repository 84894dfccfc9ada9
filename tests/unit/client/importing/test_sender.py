"""Batches, and what is counted of them, also when they break off."""

from collections.abc import Iterator, Sequence

import grpc
import pytest
from google.rpc import status_pb2
from longtail.client import named_vectors
from longtail.client.calls.call import BATCH_BYTES
from longtail.client.calls.errors import LongtailError
from longtail.client.importing.report import Acknowledgement, ImportReport, Numbered
from longtail.client.importing.sender import send
from longtail.runtime.errors import InferenceFailed, InvalidArgument, Violation
from longtail.v1.item_pb2 import Item

from tests.unit.client.importing.writer import Writer


def items(count: int, text: str = "") -> list[Numbered[Item]]:
    return [Numbered(number + 2, Item(id=str(number), text=text)) for number in range(count)]


def test_everything_is_sent_in_batches() -> None:
    writer, report = Writer(), ImportReport()
    send(items(600), writer, report)

    assert sorted(writer.sizes) == [88, 256, 256]
    assert (report.imported, report.revision) == (600, 3)


def test_batches_are_bounded_in_bytes_too() -> None:
    writer, report = Writer(), ImportReport()
    send(items(256, text="x" * 80_000), writer, report)

    assert sum(writer.sizes) == 256
    assert max(writer.sizes) <= BATCH_BYTES // 80_000


def test_what_the_server_refuses_is_known_by_line_and_field() -> None:
    writer, report = Writer(), ImportReport()
    send([Numbered(9, Item(id="1", title="refuse me")), *items(3)], writer, report)

    assert report.imported == 3
    dropped = report.dropped["refused by the server (title)"]
    assert (dropped.lines, dropped.detail) == ([9], "title too long")
    assert report.failed == 0


def test_what_the_server_fails_on_is_told_from_what_it_refuses() -> None:
    failure = InferenceFailed("the device failed").status()

    def write(batch: Sequence[Item], _request_id: str) -> Acknowledgement:
        statuses = [failure if item.id == "1" else status_pb2.Status() for item in batch]
        return Acknowledgement(statuses, len(batch) - 1, 4)

    report = ImportReport()
    send(items(3), write, report)
    assert (report.imported, report.failed) == (2, 1)
    assert report.dropped["failed in the server (INTERNAL)"].detail == "the device failed"


def test_a_vector_that_is_refused_is_known_by_its_space() -> None:
    wrong = InvalidArgument(Violation("items[1].extra_vectors[1].vector", "is 12 bytes, not 16"))
    vectors = named_vectors({"words": [1], "image": [1, 2, 3]})
    batch = [*items(1), Numbered(9, Item(id="1", extra_vectors=vectors))]
    report = ImportReport()
    report.count(batch, [Acknowledgement([status_pb2.Status(), wrong.status()], 1, 4)])
    dropped = report.dropped["refused by the server (vector in space 'image')"]
    assert dropped.detail == "vector in space 'image' is 12 bytes, not 16"


def test_what_was_taken_without_its_list_is_known_by_line() -> None:
    refused = status_pb2.Status(code=3)
    fine = status_pb2.Status()
    batch = items(7)
    report = ImportReport()
    # A batch that was halved is answered in two parts, each with positions of its own.
    report.count(
        batch,
        [
            Acknowledgement([fine, refused, fine], 2, 5, [0, 2]),
            Acknowledgement([fine] * 4, 4, 6, [0, 1, 2, 3]),
        ],
    )
    assert (report.imported, report.dropped_count) == (6, 1)
    assert (report.unattributed.count, report.unattributed.lines) == (6, [2, 4, 5, 6, 7])
    assert report.unattributed.told() == "6 (line 2, 4, 5, 6, 7, …)"


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
            raise LongtailError(grpc.StatusCode.RESOURCE_EXHAUSTED, "no space")
        answered.append(len(batch))
        return Acknowledgement([status_pb2.Status() for _ in batch], len(batch), 4)

    report = ImportReport()
    with pytest.raises(LongtailError):
        send(items(256 * 3), write, report)
    assert report.imported == sum(answered)
