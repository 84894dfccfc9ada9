"""Imports into a store that two servers share, both at once, without encoding.

`--store` says where it is: an empty database, which is not emptied again.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import cached_property
from itertools import count

import grpc
import numpy as np
from longtail.v1.interaction_service_pb2 import ImportInteractionsRequest, Interaction
from longtail.v1.interaction_service_pb2_grpc import InteractionServiceStub
from longtail.v1.item_pb2 import Item
from longtail.v1.item_service_pb2 import ImportItemsRequest
from longtail.v1.item_service_pb2_grpc import ItemServiceStub

from bench import context
from bench.figures import LoadError, Measured, NotRun, Sections, median
from bench.processes import Service, server, worker
from bench.texts import SEED

_SERVERS = 2
_PERSONS, _ITEMS = 2000, 300
# Of a message of a stream, as the client has it.
_BATCH = 256
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
        with grpc.insecure_channel(started[0].address) as channel:
            _import_items(self, channel, "item-", _ITEMS)
        return started


SECTIONS: Sections[Context] = Sections()


def _import_items(bench: Context, channel: grpc.Channel, prefix: str, rows: int) -> None:
    draw = np.random.default_rng(SEED)
    vectors = draw.standard_normal((_ITEMS, bench.bare.manifest.dimension)).astype("<f4")

    def item(row: int) -> Item:
        vector = vectors[row % _ITEMS].tobytes()
        return Item(id=f"{prefix}{row}", title=f"Title {row}", text="A text " * 4, vector=vector)

    batches = (ImportItemsRequest(items=map(item, part)) for part in _parts(rows))
    _check(ItemServiceStub(channel).ImportItems(batches).refused_count)


def _import_interactions(bench: Context, channel: grpc.Channel, prefix: str, rows: int) -> None:
    def event(row: int) -> Interaction:
        person, item = f"person-{row % _PERSONS}", f"item-{row % _ITEMS}"
        return Interaction(
            event_id=f"{prefix}{row}", user_id=person, item_id=item, type="view", value=1.0
        )

    batches = (ImportInteractionsRequest(interactions=map(event, part)) for part in _parts(rows))
    _check(InteractionServiceStub(channel).ImportInteractions(batches).refused_count)


def _check(refused: int) -> None:
    if refused:
        raise LoadError(f"{refused} rows were refused")


def _parts(rows: int) -> Iterator[range]:
    return (range(start, min(start + _BATCH, rows)) for start in range(0, rows, _BATCH))


@SECTIONS.add("1", "interactions, two servers at once", "imported >= 5000 rows/s")
def _interactions(bench: Context) -> Iterator[Measured]:
    yield _measured(bench, _import_interactions)


@SECTIONS.add("2", "items with vectors, two servers at once", "imported [rows/s]")
def _items(bench: Context) -> Iterator[Measured]:
    yield _measured(bench, _import_items)


def _measured(bench: Context, load: Callable[[Context, grpc.Channel, str, int], None]) -> Measured:
    rows, rates, spent = bench.options.rows // _SERVERS, list[float](), 0.0
    with ExitStack() as stack, ThreadPoolExecutor(_SERVERS) as threads:
        places = [each.address for each in bench.servers]
        channels = [stack.enter_context(grpc.insecure_channel(place)) for place in places]
        for _ in bench.turns("imports by two servers"):
            before = sum(each.cpu_seconds() for each in bench.servers)
            started = time.perf_counter()
            running = [
                threads.submit(load, bench, channel, f"{next(_NUMBERS)}-", rows)
                for channel in channels
            ]
            for each in running:
                each.result()
            rates.append(rows * _SERVERS / (time.perf_counter() - started))
            spent += sum(each.cpu_seconds() for each in bench.servers) - before
    share = 1e6 * spent / (rows * _SERVERS * len(rates))
    return median(rates, f"{share:.0f} us of the servers' processors a row")
