"""A value that is computed from something that changes, as often as it is worth it."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

# The share of the time that goes into computing: after each time, 20 times as long is waited.
SHARE = 0.05


class Refreshed(Generic[T]):
    """The value of `compute`, computed anew by who asks for it once `version` has moved on.

    While `urgent` holds it is computed at once, and otherwise at most SHARE of the time; until
    then the last one is given out. Any thread may ask. `clock` is in seconds.
    """

    def __init__(
        self,
        compute: Callable[[], T],
        version: Callable[[], int],
        urgent: Callable[[], bool],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._compute = compute
        self._version = version
        self._urgent = urgent
        self._clock = clock
        self._lock = threading.Lock()
        # The version is read before the value, so a change meanwhile makes the value old.
        self._held: tuple[int, T] | None = None
        self._not_before = 0.0

    def value(self) -> T:
        """Return the value, the last one while another thread computes unless that is urgent."""
        held, urgent = self._held, self._urgent()
        if (held is None or self._is_due(held, urgent)) and self._lock.acquire(
            blocking=held is None or urgent
        ):
            try:
                held = self._held
                if held is None or self._is_due(held, urgent):
                    held = self._held = self._computed()
            finally:
                self._lock.release()
        assert held is not None  # noqa: S101 (for the type checker: the lock was waited for)
        return held[1]

    def _is_due(self, held: tuple[int, T], urgent: bool) -> bool:
        return held[0] != self._version() and (urgent or self._clock() >= self._not_before)

    def _computed(self) -> tuple[int, T]:
        started, version = self._clock(), self._version()
        value = self._compute()
        finished = self._clock()
        self._not_before = finished + (finished - started) / SHARE
        return version, value
