"""One thread for work that takes long, whose callers have it in rotation."""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from longtail.runtime.admission import WAIT_SHARE
from longtail.runtime.deadline import remaining_seconds
from longtail.runtime.errors import Overloaded
from longtail.runtime.identity import current_caller

R = TypeVar("R")

_SMOOTHING = 0.1


class FairThread:
    """Does one piece of work after another; who waits with many keeps nobody with few waiting.

    For one event loop, and within RPCs.
    """

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        # Who waits for the thread, by caller, in the order of their turns.
        self._lines: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._waiting = 0
        self._taken = False
        # What one piece takes of late.
        self._seconds = 0.0

    def shutdown(self) -> None:
        """Begin nothing more, and wait for what is being done."""
        self._thread.shutdown(cancel_futures=True)

    async def run(self, work: Callable[[], R]) -> R:
        """Return what `work` returns.

        Raises Overloaded when so much is before it that the RPC would not be answered in time.
        """
        caller = current_caller().name
        wait = self._ahead(caller) * self._seconds
        if wait > WAIT_SHARE * remaining_seconds():
            raise Overloaded("too many long answers are asked for", retry_seconds=wait)
        if self._taken:
            await self._turn(caller)
        self._taken = True
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._thread, lambda: self._timed(work)
            )
        finally:
            self._next()

    def _ahead(self, caller: str) -> int:
        """Return how many pieces are done before the next one of a caller."""
        if not self._taken:
            return 0
        held, others = len(self._lines.get(caller, ())), len(self._lines.keys() - {caller})
        # Turns go round, so that nobody else has more of them until then.
        return 1 + min(self._waiting, held + others * (held + 1))

    async def _turn(self, caller: str) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._lines.setdefault(caller, deque()).append(turn)
        self._waiting += 1
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self._next()
            raise

    def _next(self) -> None:
        while self._lines:
            caller, line = self._lines.popitem(last=False)
            turn = line.popleft()
            self._waiting -= 1
            if line:
                self._lines[caller] = line
            if not turn.done():
                turn.set_result(None)
                return
        self._taken = False

    def _timed(self, work: Callable[[], R]) -> R:
        started = time.perf_counter()
        try:
            return work()
        finally:
            taken = time.perf_counter() - started
            self._seconds += _SMOOTHING * (taken - self._seconds)
