"""Keeps a task going that should never end: restarts it when it dies, but not for ever."""

import logging
from collections import deque
from collections.abc import Awaitable, Callable

from longtail.worker import metrics

logger = logging.getLogger(__name__)

# More deaths than these in the time given are no accident.
MAX_RESTARTS, RESTART_SECONDS = 3, 60.0


class Supervisor:
    """Restarts tasks that are of one kind; their deaths are counted together.

    `on_health` is told False when one died, and True when it runs again. `clock` gives seconds.
    """

    def __init__(
        self, on_health: Callable[[bool], Awaitable[None]], clock: Callable[[], float]
    ) -> None:
        self._on_health = on_health
        self._clock = clock
        self._deaths: deque[float] = deque()

    async def keep(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work` again and again until cancelled; raise its error when it dies too often."""
        while True:
            try:
                await work()
            except Exception:
                logger.exception("an inference slot died")
                await self._on_health(False)
                if not self._may_restart():
                    raise
                metrics.RESTARTS.inc()
                await self._on_health(True)

    def _may_restart(self) -> bool:
        now = self._clock()
        while self._deaths and self._deaths[0] < now - RESTART_SECONDS:
            self._deaths.popleft()
        self._deaths.append(now)
        return len(self._deaths) <= MAX_RESTARTS
