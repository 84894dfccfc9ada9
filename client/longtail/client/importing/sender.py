"""Sends messages in batches, several calls in flight, and keeps count of what became of them.

Unary batches, not one stream: each acknowledged batch is durable, so that an import that breaks can
be started again, and a batch that meets an overloaded server is simply sent again.
"""

import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Event
from typing import Generic, TypeVar

import grpc
from google.protobuf.message import Message
from google.rpc import status_pb2
from longtail.client.calls.errors import LongtailError, error_from_status
from longtail.client.importing.rows import BadRow

BATCH_ROWS = 256
# So many items at their limits would pass the 16 MiB that a message may have.
BATCH_BYTES = 4 * 2**20
# Enough that the server always has texts to encode while another batch is written or on its way.
CALLS_IN_FLIGHT = 4
# Those in flight and those that are ready when one of them is acknowledged.
BATCHES_HELD = 2 * CALLS_IN_FLIGHT
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


# Takes a batch and its request_id, which stays the same when the batch is sent again.
Write = Callable[[Sequence[M], str], Acknowledgement]
InFlight = tuple[Sequence[Numbered[M]], Future[list[Acknowledgement]]]


def send(messages: Iterable[Numbered[M]], write: Write[M], report: ImportReport) -> None:
    """Write every message, in batches, and count the outcome in `report`.

    Raises LongtailError when a batch is refused as a whole, or fails for longer than the patience;
    `report` then holds what was acknowledged before, and so it does after KeyboardInterrupt.
    """
    held: deque[InFlight[M]] = deque()
    stopped = Event()
    pool = ThreadPoolExecutor(CALLS_IN_FLIGHT)
    try:
        for batch in _batches(messages):
            if len(held) == BATCHES_HELD:
                _count_first(held, report)
            future: Future[list[Acknowledgement]] = Future()
            # Held before it is begun: an interruption in between forgets no batch.
            held.append((batch, future))
            pool.submit(_resolve, future, batch, write, stopped)
        while held:
            _count_first(held, report)
    except BaseException:
        stopped.set()
        # What is in flight may well be acknowledged, even if reading or another batch failed.
        _drain([each for each in held if not each[1].cancel()], report)
        raise
    finally:
        # Not waited for: whoever interrupts a second time also hangs up, which ends the calls.
        pool.shutdown(wait=False, cancel_futures=True)


def _count_first(held: deque[InFlight[M]], report: ImportReport) -> None:
    # Still held while it is waited for, which is when an interruption comes.
    wait([held[0][1]])
    _count(*held.popleft(), report)


def _resolve(
    future: Future[list[Acknowledgement]],
    batch: Sequence[Numbered[M]],
    write: Write[M],
    stopped: Event,
) -> None:
    if future.set_running_or_notify_cancel():
        try:
            future.set_result(_write_patiently(batch, write, stopped))
        # Whatever it is, it belongs to who waits for the batch.
        except BaseException as error:
            future.set_exception(error)


def _drain(held: Iterable[InFlight[M]], report: ImportReport) -> None:
    for batch, future in held:
        # What ended the import is told already, and one reason is enough.
        with suppress(LongtailError):
            _count(batch, future, report)


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


def _write_patiently(
    batch: Sequence[Numbered[M]], write: Write[M], stopped: Event
) -> list[Acknowledgement]:
    messages = [numbered.message for numbered in batch]
    request_id = str(uuid.uuid4())
    give_up = time.monotonic() + PATIENCE_SECONDS
    backoff = FIRST_BACKOFF_SECONDS
    while True:
        try:
            return [write(messages, request_id)]
        except LongtailError as error:
            if error.code is grpc.StatusCode.DEADLINE_EXCEEDED and len(batch) > 1:
                # Too much for one deadline; half of it may not be.
                middle = len(batch) // 2
                return [
                    *_write_patiently(batch[:middle], write, stopped),
                    *_write_patiently(batch[middle:], write, stopped),
                ]
            pause = _retry_seconds(error, backoff)
            if pause is None or time.monotonic() + pause > give_up or stopped.wait(pause):
                raise
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
