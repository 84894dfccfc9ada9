"""The pace of a fit beside serving: half of the time, up to a bound, until it is told to stop."""

import logging
import threading
import time

from longtail.server.ranking.regression import Stopped

logger = logging.getLogger(__name__)


class Pace:
    """Works half of the time, so that those who serve find the processor and the interpreter free.

    `what` is given up, and that is logged, when it takes more than `most_seconds` of work.
    """

    def __init__(self, what: str, stopped: threading.Event, most_seconds: float) -> None:
        self._what = what
        self._stopped = stopped
        self._most = most_seconds
        self.worked = self._resumed = 0.0

    def begin(self) -> None:
        """Begin anew. Raises Stopped when there is no time for it."""
        if not self._most:
            raise Stopped
        self.worked, self._resumed = 0.0, time.monotonic()

    def pause(self, _done: int) -> None:
        """Rest as long as was worked. Raises Stopped when it is over."""
        worked = time.monotonic() - self._resumed
        self.worked += worked
        if self.worked > self._most:
            logger.warning("%s not fitted: it takes more than %.0f seconds", self._what, self._most)
            raise Stopped
        if self._stopped.wait(worked):
            raise Stopped
        self._resumed = time.monotonic()
