"""Imports into a store that two servers share, both at once, without encoding.

`--store` says where it is: an empty database, which is not emptied again.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import cached_property, partial
from itertools import count

import numpy as np
from longtail.client import LongtailClient, interaction
from longtail.v1.interaction_service_pb2 import Interaction
from longtail.v1.item_pb2 import Item

from bench import context
from bench.figures import Measured, NotRun, Sections, median
from bench.processes import Service, server, worker
from bench.texts import SEED

_SERVERS = 2
_PERSONS, _ITEMS = 2000, 300
# So that what is learned from them costs nothing meanwhile.
_QUIET = {"LONGTAIL_BEHAVIOUR_FIT_SECONDS": "0", "LONGTAIL_HEAD_FIT_SECONDS": "0"}
# No id is used twice.
_NUMBERS = count()


class Context(context.Context):
    """What is started once: a worker, which is asked for nothing, and servers on one store."""

    @cached_property
    def servers(self) -> list[Service]:
        """Servers with some items in their store; raises NotRun without --store."""
        if not self.options.store:
            raise NotRun("no --store")
        stack = self.leaving.enter_context(ExitStack())
        encoding = stack.enter_context(worker(self.options.artefact, self.out))
        started = []
        for number in range(_SERVERS):
            home = self.out / f"server-{number}"
            home.mkdir(exist_ok=True)
            own = {**_QUIET, "LONGTAIL_STORE": self.options.store}
            started.append(stack.enter_context(server(home, encoding.address, home, **own)))
        with LongtailClient(started[0].address) as client:
            client.upsert_items(list(self.items("item-", _ITEMS)))
        return started

    def items(self, prefix: str, rows: int) -> Iterator[Item]:
        """Yield items with vectors of their own."""
        draw = np.random.default_rng(SEED)
        vectors = draw.standard_normal((_ITEMS, self.bare.manifest.dimension)).astype("<f4")
        for row in range(rows):
            vector = vectors[row % _ITEMS].tobytes()
            yield Item(id=f"{prefix}{row}", title=f"Title {row}", text="A text " * 4, vector=vector)

    def events(self, prefix: str, rows: int) -> Iterator[Interaction]:
        """Yield interactions of some persons with items that are there."""
        for row in range(rows):
            person, item = f"person-{row % _PERSONS}", f"item-{row % _ITEMS}"
            yield interaction(person, item, "view", event_id=f"{prefix}{row}")


SECTIONS: Sections[Context] = Sections()


@SECTIONS.add("1", "interactions, two servers at once", "imported >= 5000 rows/s")
def _interactions(bench: Context) -> Iterator[Measured]:
    def load(client: LongtailClient, prefix: str, rows: int) -> None:
        client.import_interactions(bench.events(prefix, rows))

    yield _measured(bench, load)


@SECTIONS.add("2", "items with vectors, two servers at once", "imported [rows/s]")
def _items(bench: Context) -> Iterator[Measured]:
    def load(client: LongtailClient, prefix: str, rows: int) -> None:
        client.import_items(bench.items(prefix, rows))

    yield _measured(bench, load)


def _measured(bench: Context, load: Callable[[LongtailClient, str, int], None]) -> Measured:
    rows, rates, spent = bench.options.rows // _SERVERS, [], 0.0
    with ExitStack() as stack, ThreadPoolExecutor(_SERVERS) as threads:
        clients = [stack.enter_context(LongtailClient(each.address)) for each in bench.servers]
        for _ in bench.turns("imports by two servers"):
            before = sum(each.cpu_seconds() for each in bench.servers)
            started = time.perf_counter()
            running = [
                threads.submit(partial(load, client, f"{next(_NUMBERS)}-", rows))
                for client in clients
            ]
            for each in running:
                each.result()
            rates.append(rows * _SERVERS / (time.perf_counter() - started))
            spent += sum(each.cpu_seconds() for each in bench.servers) - before
    share = 1e6 * spent / (rows * _SERVERS * len(rates))
    return median(rates, f"{share:.0f} us of the servers' processors a row")
