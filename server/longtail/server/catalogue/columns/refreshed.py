"""A value that is computed from something that changes, as often as it is worth it."""

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

S = TypeVar("S")
T = TypeVar("T")

# The share of the time that goes into computing: after each time, 20 times as long is waited.
SHARE = 0.05


def in_thread(work: Callable[[], None]) -> None:
    """Do `work` in a thread of its own."""
    threading.Thread(target=work, name="refresh", daemon=True).start()


class Refreshed(Generic[S, T]):
    """The value that `compute` makes of a source, anew once `version` of that has moved on.

    Each time it is asked for it is given the source, which is always the same one: were it kept
    here, what holds this would hold itself, and only Python's collector of cycles would free it.

    While `urgent` holds it is computed at once, by who asks. Otherwise it is at most SHARE of the
    time, and `aside`: whoever asks gets the last one, since an event loop cannot wait for it. Any
    thread may ask. `clock` is in seconds.
    """

    def __init__(
        self,
        compute: Callable[[S], T],
        version: Callable[[S], int],
        urgent: Callable[[S], bool],
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

    def value(self, source: S) -> T:
        """Return the value, the last one while it is computed aside."""
        held, version = self._held, self._version(source)
        if held is None or (held[0] != version and self._urgent(source)):
            with self._lock:
                held = self._held
                if held is None or held[0] != self._version(source):
                    held = self._refresh(source)
        elif (
            held[0] != version
            and self._clock() >= self._not_before
            and self._lock.acquire(blocking=False)
        ):
            self._aside(partial(self._refresh_and_release, source))
        return held[1]

    def _refresh_and_release(self, source: S) -> None:
        try:
            self._refresh(source)
        finally:
            self._lock.release()

    def _refresh(self, source: S) -> tuple[int, T]:
        started, version = self._clock(), self._version(source)
        held = self._held = version, self._compute(source)
        finished = self._clock()
        self._not_before = finished + (finished - started) / SHARE
        return held
