"""A store with a graph over all of its items, made once and copied for each test."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from longtail.client import LongtailClient
from longtail.v1.item_pb2 import Item

from tests import processes
from tests.faults.extent import extent
from tests.faults.items import Material, batches
from tests.faults.stores import wait_for

ITEMS = extent(1200, 5000)
MERGE_ROWS = 50
# Small, so that the graph is used and is merged all the time.
SETTINGS = {
    "LONGTAIL_INDEX_MERGE_ROWS": str(MERGE_ROWS),
    "LONGTAIL_INDEX_EF_SEARCH": "100",
    "LONGTAIL_CANDIDATES": "100",
}


@dataclass(frozen=True)
class FilledStore:
    """A store under `home`, of a server that has stopped, and its items by id."""

    home: Path
    items: dict[str, Item]

    @classmethod
    def make(cls, home: Path, worker_address: str, material: Material) -> "FilledStore":
        """Fill a new store, and wait for its graph."""
        items = material.catalogue(ITEMS)
        with (
            # All at once, so that there is one generation.
            processes.server(
                home, worker_address, **{**SETTINGS, "LONGTAIL_INDEX_MERGE_ROWS": str(ITEMS)}
            ) as running,
            LongtailClient(running.address) as client,
        ):
            for batch in batches(items):
                client.upsert_items(batch)
            wait_for(lambda: client.server_info().index.delta_count == 0)
            assert running.stop() == 0
        return cls(home, {item.id: item for item in items})

    def copied(self, home: Path) -> "FilledStore":
        """Return a copy under `home`."""
        shutil.copytree(self.home / "data", home / "data")
        return FilledStore(home, dict(self.items))


def has_merged(client: LongtailClient) -> bool:
    """Return whether no merge is due: a sixteenth of the graph, at least, makes it so."""
    index = client.server_info().index
    return index.delta_count < max(MERGE_ROWS, (index.live_count - index.delta_count) / 16)
