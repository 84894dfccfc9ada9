"""What passes by itself is waited for, visibly."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from longtail.runtime.errors import (
    DeadlineExceeded,
    Overloaded,
    ServiceError,
    StorageFull,
    Unavailable,
)

T = TypeVar("T")

# A worker that is away or full, a disk that is full, a writer that is busy.
PASSING = (Unavailable, Overloaded, DeadlineExceeded, StorageFull)
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0


async def patiently(
    attempt: Callable[[], Awaitable[T]], wait_for: Callable[[ServiceError], None], seconds: float
) -> T:
    """Try until it succeeds, telling `wait_for` why not; raise what has not passed in time."""
    loop = asyncio.get_running_loop()
    begun, pause = loop.time(), FIRST_PAUSE
    while True:
        try:
            return await attempt()
        except PASSING as error:
            if loop.time() - begun > seconds:
                raise
            wait_for(error)
            least = error.retry_seconds if isinstance(error, Overloaded) else 0.0
            await asyncio.sleep(max(pause, least))
            pause = min(2 * pause, LONGEST_PAUSE)
