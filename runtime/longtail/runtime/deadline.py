"""The deadline of the RPC that is being worked on, for the calls that it makes in turn."""

import contextlib
import time
from collections.abc import Iterator
from contextvars import ContextVar

_deadline: ContextVar[float] = ContextVar("deadline")


def set_deadline(seconds: float) -> None:
    """Give this task, which is one RPC, `seconds` from now."""
    _deadline.set(time.monotonic() + seconds)


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Give the work inside `seconds` from now."""
    token = _deadline.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _deadline.reset(token)


def remaining_seconds() -> float:
    """Return the seconds that are left, zero when the deadline has passed."""
    return max(0.0, _deadline.get() - time.monotonic())
