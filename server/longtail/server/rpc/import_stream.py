"""An import stream: batches are prepared ahead, side by side, and written one by one in order."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from longtail.runtime.errors import Overloaded

M = TypeVar("M")
P = TypeVar("P")
R = TypeVar("R")


async def patiently(attempt: Callable[[], Awaitable[R]]) -> R:
    """Return what `attempt` does, again and again while there is more work than can be done.

    A stream has time: its sender is held back meanwhile. The deadline of the RPC ends it.
    """
    while True:
        try:
            return await attempt()
        except Overloaded as error:
            await asyncio.sleep(error.retry_seconds)


async def write_in_order(
    messages: AsyncIterator[M],
    prepare: Callable[[M], Coroutine[Any, Any, P]],
    write: Callable[[P], Awaitable[None]],
    ahead: int,
) -> None:
    """Write every message, up to `ahead` of them being prepared beside the one that is written.

    A failure, of the stream itself too, is raised once all that came before it is written; nothing
    that comes after it is.
    """
    room = asyncio.Semaphore(ahead)
    turns: asyncio.Queue[asyncio.Future[P] | None] = asyncio.Queue()

    async def read() -> None:
        try:
            async for message in messages:
                await room.acquire()
                turns.put_nowait(asyncio.create_task(prepare(message)))
        except Exception as error:
            # It has its turn as a batch would have had.
            failed: asyncio.Future[P] = asyncio.get_running_loop().create_future()
            failed.set_exception(error)
            turns.put_nowait(failed)
        else:
            turns.put_nowait(None)

    reading = asyncio.create_task(read())
    try:
        while (turn := await turns.get()) is not None:
            try:
                prepared = await turn
            finally:
                room.release()
            await write(prepared)
    finally:
        left: list[asyncio.Future[Any]] = [reading]
        while not turns.empty():
            if (turn := turns.get_nowait()) is not None:
                left.append(turn)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
