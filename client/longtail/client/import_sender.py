"""Sends messages in batches, two calls in flight, and keeps count of what became of them.

Unary batches, not one stream: each acknowledged batch is durable, so that an import that breaks can
be started again, and a batch that meets an overloaded server is simply sent again.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import grpc
from google.protobuf.message import Message
from google.rpc import status_pb2
from longtail.client.errors import LongtailError, error_from_status
from longtail.client.import_rows import BadRow

BATCH_ROWS = 256
# So many items at their limits would pass the 16 MiB that a message may have.
BATCH_BYTES = 4 * 2**20
CALLS_IN_FLIGHT = 2
FIRST_BACKOFF_SECONDS = 0.5
LAST_BACKOFF_SECONDS = 8.0
# How long one batch may wait for a server that is overloaded or away.
PATIENCE_SECONDS = 60.0
LINES_SHOWN = 5

M = TypeVar("M", bound=Message)


@dataclass(frozen=True)
class Numbered(Generic[M]):
    """A message and the line it comes from."""

    line: int
    message: M


@dataclass(frozen=True)
class Acknowledgement:
    """The server's answer to one batch: a status per message, and how many were new to it."""

    statuses: Sequence[status_pb2.Status]
    recorded: int
    revision: int


@dataclass
class Dropped:
    """Rows dropped for one reason: how many, the lines of the first, and what was wrong with it."""

    count: int = 0
    lines: list[int] = field(default_factory=list)
    detail: str = ""


@dataclass
class ImportReport:
    """What became of the rows of a file so far."""

    rows_read: int = 0
    imported: int = 0
    duplicates: int = 0
    dropped: dict[str, Dropped] = field(default_factory=dict)
    revision: int = 0

    def drop(self, row: BadRow) -> None:
        """Count a row that was not imported."""
        dropped = self.dropped.setdefault(row.reason, Dropped(detail=row.detail))
        dropped.count += 1
        if len(dropped.lines) < LINES_SHOWN:
            dropped.lines.append(row.line)

    @property
    def dropped_count(self) -> int:
        """Rows that were not imported, whatever the reason."""
        return sum(dropped.count for dropped in self.dropped.values())


Write = Callable[[Sequence[M]], Acknowledgement]
InFlight = tuple[Sequence[Numbered[M]], Future[list[Acknowledgement]]]


def send(messages: Iterable[Numbered[M]], write: Write[M], report: ImportReport) -> None:
    """Write every message, in batches, and count the outcome in `report`.

    Raises LongtailError when a batch is refused as a whole, or fails for longer than the patience;
    `report` then holds what was acknowledged before.
    """
    in_flight: deque[InFlight[M]] = deque()
    with ThreadPoolExecutor(CALLS_IN_FLIGHT) as pool:
        try:
            for batch in _batches(messages):
                if len(in_flight) == CALLS_IN_FLIGHT:
                    _count(*in_flight.popleft(), report)
                in_flight.append((batch, pool.submit(_write_patiently, batch, write)))
        finally:
            # What is in flight may well be acknowledged, even if reading or another batch failed.
            _drain(in_flight, report)


def _drain(in_flight: deque[InFlight[M]], report: ImportReport) -> None:
    failure = None
    while in_flight:
        try:
            _count(*in_flight.popleft(), report)
        except LongtailError as error:
            failure = failure or error
    if failure is not None:
        raise failure


def _batches(messages: Iterable[Numbered[M]]) -> Iterator[list[Numbered[M]]]:
    batch: list[Numbered[M]] = []
    size = 0
    for numbered in messages:
        length = numbered.message.ByteSize()
        if batch and (len(batch) == BATCH_ROWS or size + length > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(numbered)
        size += length
    if batch:
        yield batch


def _write_patiently(batch: Sequence[Numbered[M]], write: Write[M]) -> list[Acknowledgement]:
    give_up = time.monotonic() + PATIENCE_SECONDS
    backoff = FIRST_BACKOFF_SECONDS
    while True:
        try:
            return [write([numbered.message for numbered in batch])]
        except LongtailError as error:
            if error.code is grpc.StatusCode.DEADLINE_EXCEEDED and len(batch) > 1:
                # Too much for one deadline; half of it may not be.
                middle = len(batch) // 2
                return [
                    *_write_patiently(batch[:middle], write),
                    *_write_patiently(batch[middle:], write),
                ]
            wait = _retry_seconds(error, backoff)
            if wait is None or time.monotonic() + wait > give_up:
                raise
        time.sleep(wait)
        backoff = min(2 * backoff, LAST_BACKOFF_SECONDS)


def _retry_seconds(error: LongtailError, backoff: float) -> float | None:
    """Return how long to wait before the next try; None when another try is of no use."""
    if error.code is grpc.StatusCode.UNAVAILABLE:
        return backoff
    # Without a hint the resource does not come back by waiting: a full disk.
    if error.code is grpc.StatusCode.RESOURCE_EXHAUSTED and error.retry_after is not None:
        return max(error.retry_after, backoff)
    return None


def _count(
    batch: Sequence[Numbered[M]], future: Future[list[Acknowledgement]], report: ImportReport
) -> None:
    acknowledgements = future.result()
    statuses = [status for answer in acknowledgements for status in answer.statuses]
    accepted = 0
    for numbered, status in zip(batch, statuses, strict=True):
        error = error_from_status(status)
        if error is None:
            accepted += 1
        else:
            report.drop(BadRow(numbered.line, *_refusal(error)))
    recorded = sum(answer.recorded for answer in acknowledgements)
    report.imported += recorded
    report.duplicates += accepted - recorded
    report.revision = max(report.revision, *(answer.revision for answer in acknowledgements))


def _refusal(error: LongtailError) -> tuple[str, str]:
    fields = sorted({_leaf(violation.field) for violation in error.violations})
    where = f" ({', '.join(fields)})" if fields else ""
    return f"refused by the server{where}", error.message


def _leaf(path: str) -> str:
    """Return `text` of `items[3].text`: the row is known by its line."""
    return path.rpartition("].")[2]
