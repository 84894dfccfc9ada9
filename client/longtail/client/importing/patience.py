"""Writes one batch to a server that may be overloaded, away for a moment, or slow."""

import time
import uuid
from collections.abc import Callable, Sequence
from threading import Event

import grpc
from longtail.client.calls.errors import LongtailError
from longtail.client.importing.report import Acknowledgement, M

FIRST_BACKOFF_SECONDS = 0.5
LAST_BACKOFF_SECONDS = 8.0
# How long one batch may wait for a server that is overloaded or away.
PATIENCE_SECONDS = 60.0

# Takes a batch and its request_id, which stays the same when the batch is sent again.
Write = Callable[[Sequence[M], str], Acknowledgement]


def write_patiently(batch: Sequence[M], write: Write[M], stopped: Event) -> list[Acknowledgement]:
    """Return what acknowledges a batch, part by part where it was too much for one deadline.

    Raises LongtailError when it is refused, when the patience ends, or when `stopped` is set.
    """
    request_id = str(uuid.uuid4())
    give_up = time.monotonic() + PATIENCE_SECONDS
    backoff = FIRST_BACKOFF_SECONDS
    while True:
        try:
            return [write(batch, request_id)]
        except LongtailError as error:
            if error.code is grpc.StatusCode.DEADLINE_EXCEEDED and len(batch) > 1:
                # Too much for one deadline; half of it may not be.
                middle = len(batch) // 2
                return [
                    *write_patiently(batch[:middle], write, stopped),
                    *write_patiently(batch[middle:], write, stopped),
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
