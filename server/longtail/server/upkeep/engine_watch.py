"""The index engine, looked at once a second: apart from the answers, which do not wait for it."""

import asyncio

from longtail.server.catalogue.index.engines.engine import Engine
from longtail.server.process.part import Part

PERIOD_SECONDS = 1.0


async def watch_engine(engine: Engine, part: Part) -> None:
    """See whether the engine answers, until cancelled; `part` tells when it does not."""
    while True:
        with part:
            await asyncio.to_thread(engine.check)
        await asyncio.sleep(PERIOD_SECONDS)
