"""A value that is computed from something that changes, as often as it is worth it."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

# The share of the time that goes into computing: after each time, 20 times as long is waited.
SHARE = 0.05


def in_thread(work: Callable[[], None]) -> None:
    """Do `work` in a thread of its own."""
    threading.Thread(target=work, name="refresh", daemon=True).start()


class Refreshed(Generic[T]):
    """The value of `compute`, computed anew once it is asked for and `version` has moved on.

    While `urgent` holds it is computed at once, by who asks. Otherwise it is at most SHARE of the
    time, and `aside`: whoever asks gets the last one, since an event loop cannot wait for it. Any
    thread may ask. `clock` is in seconds.
    """

    def __init__(
        self,
        compute: Callable[[], T],
        version: Callable[[], int],
        urgent: Callable[[], bool],
        clock: Callable[[], float] = time.perf_counter,
        aside: Callable[[Callable[[], None]], None] = in_thread,
    ) -> None:
        self._compute = compute
        self._version = version
        self._urgent = urgent
        self._clock = clock
        self._aside = aside
        self._lock = threading.Lock()
        # The version is read before the value, so a change meanwhile makes the value old.
        self._held: tuple[int, T] | None = None
        self._not_before = 0.0

    def value(self) -> T:
        """Return the value, the last one while it is computed aside."""
        held = self._held
        if held is None or (held[0] != self._version() and self._urgent()):
            with self._lock:
                held = self._held
                if held is None or held[0] != self._version():
                    held = self._refresh()
        elif (
            held[0] != self._version()
            and self._clock() >= self._not_before
            and self._lock.acquire(blocking=False)
        ):
            self._aside(self._refresh_and_release)
        return held[1]

    def _refresh_and_release(self) -> None:
        try:
            self._refresh()
        finally:
            self._lock.release()

    def _refresh(self) -> tuple[int, T]:
        started, version = self._clock(), self._version()
        held = self._held = version, self._compute()
        finished = self._clock()
        self._not_before = finished + (finished - started) / SHARE
        return held
