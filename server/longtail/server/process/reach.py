"""Whether the store can be reached, and reads of it by answers that can do without.

A store on another machine may be cut off at any moment. An answer does not wait for it to be found
out: it goes on without, and none after it asks until the store was followed again.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Self, TypeVar

from longtail.runtime.errors import Unavailable
from prometheus_client import Gauge

logger = logging.getLogger(__name__)

R = TypeVar("R")

REACHABLE = Gauge("longtail_store_reachable", "1 while the store can be reached, 0 while not.")
# What an answer waits for the store at most: a read takes some milliseconds.
PATIENCE_SECONDS = 0.5
# Each may wait for a connection that is cut off, until that is given up.
THREADS = 4


class Reach:
    """The reach of a store, until the block ends. Any thread may read and say what it found.

    `bounded`: whether the store may be cut off. A store on this machine is read where the answer is
    made, and what it raises is raised.
    """

    def __init__(self, *, bounded: bool, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._threads = ThreadPoolExecutor(THREADS, "store-reads") if bounded else None
        self._patience = patience_seconds
        self._away = False
        REACHABLE.set(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    @property
    def is_away(self) -> bool:
        """Whether the store could not be reached when it was tried last."""
        return self._away

    @property
    def is_bounded(self) -> bool:
        """Whether reads are done in threads of their own, and given up after a while."""
        return self._threads is not None

    def tell(self, *, away: bool) -> None:
        """Say whether the store could be reached just now."""
        if away != self._away:
            logger.log(logging.WARNING if away else logging.INFO, "store reachable=%s", not away)
            REACHABLE.set(not away)
        self._away = away

    def read(self, work: Callable[[], R]) -> R | None:
        """Return what `work` reads of the store; None where that cannot be had in time."""
        if self._threads is None:
            return work()
        if self._away:
            return None
        try:
            return self._threads.submit(work).result(self._patience)
        except (Unavailable, TimeoutError):
            self.tell(away=True)
            return None

    async def wait(self, work: Callable[[], R]) -> R | None:
        """Return what `read` does, from the loop. For bounded reads."""
        if self._away:
            return None
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._patience):
                return await loop.run_in_executor(self._threads, work)
        except (Unavailable, TimeoutError):
            self.tell(away=True)
            return None
