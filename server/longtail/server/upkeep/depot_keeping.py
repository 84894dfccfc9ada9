"""What a server that joins starts from is in the depot: who maintains the store leaves it there."""

import asyncio

from longtail.server.catalogue.index.depot import Depot
from longtail.server.catalogue.replica import CatalogueReplica
from longtail.server.process.office import Office
from longtail.server.process.part import Part

PERIOD_SECONDS = 5.0
# What failed half-way begins anew.
RETRY_SECONDS = 60.0


async def keep_depot(depot: Depot, view: CatalogueReplica, office: Office, part: Part) -> None:
    """Keep the depot as new as this process's index while it is in office, until cancelled."""
    try:
        while True:
            await office.taken()
            with part:
                await asyncio.to_thread(depot.keep, view.targets(), view.revision)
            await asyncio.sleep(PERIOD_SECONDS if part.well else RETRY_SECONDS)
    finally:
        depot.close()
