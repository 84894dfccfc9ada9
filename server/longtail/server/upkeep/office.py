"""Of all processes of a store one maintains it: what is done once for all is done there.

Who builds an index is not of it: each folder of one has its own owner, and only these compete.
"""

import asyncio
import logging
import math

from longtail.server.process.office import Office
from longtail.server.process.part import Part
from longtail.server.store.record_store import RecordStore
from prometheus_client import Gauge

logger = logging.getLogger(__name__)

PERIOD_SECONDS = 1.0

MAINTAINS = Gauge(
    "longtail_store_maintainer",
    "1 in the process that maintains the store, 0 in others; NaN before it owns an index.",
)
MAINTAINS.set(math.nan)


async def watch_office(
    store: RecordStore, office: Office, owned: asyncio.Event, part: Part
) -> None:
    """Hold the office, or wait for it, once an index is `owned`, until cancelled."""
    await owned.wait()
    while True:
        with part:
            held = await asyncio.to_thread(store.maintains)
            if held != office.is_held:
                logger.info("maintenance of the store held=%s", held)
            office.set(held)
            MAINTAINS.set(held)
        await asyncio.sleep(PERIOD_SECONDS)
