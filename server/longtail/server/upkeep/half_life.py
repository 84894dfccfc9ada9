"""Popularity decays as it is set: a half-life that was changed is noticed at start."""

import asyncio
import logging
import time

from longtail.server.settings import Settings
from longtail.server.store.record_store import RecordStore

logger = logging.getLogger(__name__)


async def keep_half_life(store: RecordStore, settings: Settings) -> None:
    """Have popularity decay by the half-life of `settings`; a new one counts all anew."""
    half_life = settings.popularity_half_life
    decay = await asyncio.to_thread(store.changes.popularity_decay)
    if decay.half_life == half_life:
        return
    started = time.monotonic()
    with store.group_commit(lambda: None, settings.max_waiting_writes) as commit:
        changed = commit.submit(lambda tx: store.interactions.set_half_life(tx, half_life))
        # Another process of this server may have been first.
        if await asyncio.wrap_future(changed):
            logger.info(
                "interactions counted anew half_life_days=%g seconds=%.1f",
                settings.popularity_half_life_days,
                time.monotonic() - started,
            )
