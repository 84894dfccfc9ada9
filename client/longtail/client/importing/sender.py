"""Sends messages in batches, several calls in flight, and keeps count of what became of them.

Unary batches, not one stream: each acknowledged batch is durable, so that an import that breaks can
be started again, and a batch that meets an overloaded server is simply sent again.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from threading import Event

from longtail.client.calls.call import batches
from longtail.client.calls.errors import LongtailError
from longtail.client.importing.patience import Write, write_patiently
from longtail.client.importing.report import Acknowledgement, ImportReport, M, Numbered

# Enough that the server always has texts to encode while another batch is written or on its way.
CALLS_IN_FLIGHT = 4
# Those in flight and those that are ready when one of them is acknowledged.
BATCHES_HELD = 2 * CALLS_IN_FLIGHT

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
        for batch in batches(messages, lambda numbered: numbered.message.ByteSize()):
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
    batch, future = held.popleft()
    report.count(batch, future.result())


def _resolve(
    future: Future[list[Acknowledgement]],
    batch: Sequence[Numbered[M]],
    write: Write[M],
    stopped: Event,
) -> None:
    if future.set_running_or_notify_cancel():
        try:
            messages = [numbered.message for numbered in batch]
            future.set_result(write_patiently(messages, write, stopped))
        # Whatever it is, it belongs to who waits for the batch.
        except BaseException as error:
            future.set_exception(error)


def _drain(held: Iterable[InFlight[M]], report: ImportReport) -> None:
    for batch, future in held:
        # What ended the import is told already, and one reason is enough.
        with suppress(LongtailError):
            report.count(batch, future.result())
