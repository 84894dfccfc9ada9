"""API keys as their file says: one that is made or revoked counts within a second."""

import asyncio

from longtail.runtime.keys import KeyRing
from longtail.server.process.part import Part

PERIOD_SECONDS = 1.0


async def watch_keys(keys: KeyRing, part: Part) -> None:
    """Keep the keys as their file says, until cancelled; `part` tells of failures."""
    while True:
        await asyncio.sleep(PERIOD_SECONDS)
        with part:
            await asyncio.to_thread(keys.refresh)
