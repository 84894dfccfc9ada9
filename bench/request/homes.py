"""The catalogues that requests are sent to, written through gRPC alone, once, and then kept."""

import asyncio
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TypeVar

import grpc
import numpy as np
from longtail.export.wheel_asset import fetch
from longtail.v1 import admin_service_pb2 as admin
from longtail.v1.admin_service_pb2_grpc import AdminServiceStub
from longtail.v1.interaction_service_pb2 import Interaction, WriteInteractionsRequest
from longtail.v1.interaction_service_pb2_grpc import InteractionServiceStub
from longtail.v1.item_pb2 import Item
from longtail.v1.item_service_pb2 import BatchUpsertItemsRequest
from longtail.v1.item_service_pb2_grpc import ItemServiceStub
from rich.console import Console

from bench import context
from bench.context import Matrix
from bench.figures import NotRun
from bench.processes import server
from bench.state import COMPLETE
from bench.texts import SEED, Catalogue
from demo import loading
from demo.catalogues import FILMS

T = TypeVar("T")
Write = Callable[[str, Path], None]

PEOPLE, LEAST_LIKES, MOST_LIKES = 1000, 20, 100
_BATCH = 500
_CALL_SECONDS, _REBUILD_SECONDS = 60.0, 300.0
# In seconds since the epoch, when the first of all likes was.
_BEGIN = 1_760_000_000


@dataclass(frozen=True)
class Large:
    """Items with their vectors (n, d), and invented people who like what is downloaded much."""

    catalogue: Catalogue
    vectors: Matrix

    @cached_property
    def likes(self) -> list[list[int]]:
        """The rows that each person likes, the latest last."""
        draw = np.random.default_rng(SEED)
        mass = np.array(self.catalogue.priors) + 1.0
        counts = draw.integers(LEAST_LIKES, MOST_LIKES, PEOPLE, endpoint=True)
        # More than are wanted, because an item may be drawn twice.
        drawn = draw.choice(len(mass), (PEOPLE, 4 * MOST_LIKES), p=mass / mass.sum())
        pairs = zip(drawn.tolist(), counts.tolist(), strict=True)
        return [list(dict.fromkeys(rows))[:count] for rows, count in pairs]

    def write(self, address: str, _: Path) -> None:
        """Write items in their order, then likes, and have the index built of all items."""
        ids = self.catalogue.ids
        write_items(
            address,
            (
                Item(
                    id=ids[row],
                    title=ids[row],
                    text=self.catalogue.texts[row],
                    vector=self.vectors[row].astype("<f4").tobytes(),
                    popularity_prior=self.catalogue.priors[row],
                )
                for row in range(len(ids))
            ),
        )
        likes = ((f"p{at}", ids[row]) for at, rows in enumerate(self.likes) for row in rows)
        write_likes(address, likes)
        _rebuild(address)


def write_demo(address: str, home: Path) -> None:
    """Write the films and ratings of the demo."""
    dataset = fetch(FILMS.asset, context.home() / "cache")
    asyncio.run(loading.load(address, FILMS, dataset, home / "loaded", Console(quiet=True)))


def write_items(address: str, items: Iterator[Item]) -> None:
    """Write items in their order."""
    with grpc.insecure_channel(address) as channel:
        stub = ItemServiceStub(channel)
        for batch in _batches(items):
            stub.BatchUpsertItems(BatchUpsertItemsRequest(items=batch), timeout=_CALL_SECONDS)


def write_likes(address: str, likes: Iterable[tuple[str, str]]) -> None:
    """Write that people like items, each a second after the one before."""
    made = (
        Interaction(event_id=f"bench {at} {user}", user_id=user, item_id=item, type="like")
        for at, (user, item) in enumerate(likes)
    )
    moment = _BEGIN
    with grpc.insecure_channel(address) as channel:
        stub = InteractionServiceStub(channel)
        for batch in _batches(made):
            for like in batch:
                moment += 1
                like.time.FromSeconds(moment)
            request = WriteInteractionsRequest(interactions=batch)
            stub.WriteInteractions(request, timeout=_CALL_SECONDS)


def home_of(name: str, out: Path, worker: str, write: Write, base: Path | None = None) -> Path:
    """Return the home `name` in `out`; when it is not there, `write` fills it through a server.

    It begins as a copy of `base`, or empty.
    """
    home = out / f"home-{name}"
    if not (home / COMPLETE).exists():
        shutil.rmtree(home, ignore_errors=True)
        if base is None:
            home.mkdir(parents=True)
        else:
            shutil.copytree(base, home, ignore=shutil.ignore_patterns(COMPLETE))
        with server(home, worker, out) as running:
            write(running.address, home)
        (home / COMPLETE).touch()
    return home


def _rebuild(address: str) -> None:
    with grpc.insecure_channel(address) as channel:
        stub = AdminServiceStub(channel)
        operation = stub.RebuildIndex(admin.RebuildIndexRequest(), timeout=_CALL_SECONDS).operation
        deadline = time.monotonic() + _REBUILD_SECONDS
        while operation.state != admin.OPERATION_STATE_SUCCEEDED:
            if operation.state == admin.OPERATION_STATE_FAILED or time.monotonic() > deadline:
                raise NotRun("the index could not be built")
            # An operation is asked after; nothing tells of its end.
            time.sleep(0.2)
            asked = admin.GetOperationRequest(id=operation.id)
            operation = stub.GetOperation(asked, timeout=_CALL_SECONDS).operation


def _batches(values: Iterator[T]) -> Iterator[list[T]]:
    while batch := list(islice(values, _BATCH)):
        yield batch
