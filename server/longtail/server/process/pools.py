"""The threads of a serving process, some for each kind of work, so that no kind waits for another.

Who changes one item does not wait for an import, and nobody for the statistics.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Self, TypeVar

from longtail.server.process.fair_thread import FairThread

R = TypeVar("R")

# Somebody waits for so few; a batch of more comes from a program, which can.
FEW = 4


class Pools:
    """Where the work of the services is done that may take longer than a turn of the event loop.

    Two threads each: one may wait for the store while another computes, and more of them would only
    take the interpreter from those who answer. Answers, which compute all the time, have one. The
    threads end with the block.
    """

    def __init__(self) -> None:
        self._answers = FairThread("answers")
        self._few = ThreadPoolExecutor(2, thread_name_prefix="few")
        self._bulk = ThreadPoolExecutor(2, thread_name_prefix="bulk")
        self._administration = ThreadPoolExecutor(2, thread_name_prefix="administration")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._answers.shutdown()
        for pool in (self._few, self._bulk, self._administration):
            pool.shutdown(cancel_futures=True)

    async def answers(self, work: Callable[[], R]) -> R:
        """Return what `work` on a list returns, one at a time, callers in rotation.

        Raises Overloaded when so many wait that the RPC would not be answered in time.
        """
        return await self._answers.run(work)

    async def elements(self, count: int, work: Callable[[], R]) -> R:
        """Return what `work` on `count` elements returns, done beside other work on few or many."""
        return await _done(self._few if count <= FEW else self._bulk, work)

    async def bulk(self, work: Callable[[], R]) -> R:
        """Return what `work` on a part of an import or export returns."""
        return await _done(self._bulk, work)

    async def administration(self, work: Callable[[], R]) -> R:
        """Return what `work` for a person who looks after the catalogue returns."""
        return await _done(self._administration, work)


def _done(pool: Executor, work: Callable[[], R]) -> asyncio.Future[R]:
    return asyncio.get_running_loop().run_in_executor(pool, work)
