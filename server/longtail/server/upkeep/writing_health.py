"""The health of writing: down from the moment that a write finds the store damaged.

Reads go on, as far as they do not meet the damage. Nothing more is written, which could make it
worse, until the server is started again on a sound store.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable

from longtail.server.store.group_commit import GroupCommit
from prometheus_client import Gauge

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5

WRITABLE = Gauge(
    "longtail_store_writable",
    "1 while the store takes writes, 0 once it is damaged; NaN before it is open.",
)
WRITABLE.set(math.nan)


async def watch_writing(commit: GroupCommit, went_down: Callable[[], Awaitable[None]]) -> None:
    """Call `went_down` once nothing is written any more because of damage; until cancelled."""
    WRITABLE.set(1)
    while commit.damage is None:  # noqa: ASYNC110  # the damage is found in another thread
        await asyncio.sleep(POLL_SECONDS)
    WRITABLE.set(0)
    logger.error("store not written any more error=%s", commit.damage)
    await went_down()
    await asyncio.Event().wait()
