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
from longtail.v1 import admin_service_pb2 as admin
from longtail.v1 import interaction_service_pb2 as interactions
from longtail.v1 import item_service_pb2 as items
from longtail.v1.admin_service_pb2_grpc import AdminServiceStub
from longtail.v1.interaction_service_pb2_grpc import InteractionServiceStub
from longtail.v1.item_pb2 import Item
from longtail.v1.item_service_pb2_grpc import ItemServiceStub
from numpy.typing import NDArray
from rich.console import Console

from bench.figures import NotRun
from bench.index.catalogue import Catalogue
from bench.processes import server
from bench.run import home as state
from bench.texts import SEED
from demo import loading
from demo.assets import CATALOGUE, fetch

Matrix = NDArray[np.float32]
T = TypeVar("T")
Write = Callable[[str, Path], None]

PEOPLE, LEAST_LIKES, MOST_LIKES = 1000, 20, 100
_BATCH = 500
_CALL_SECONDS, _REBUILD_SECONDS = 60.0, 300.0
_POLL_SECONDS = 0.2
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
        random = np.random.default_rng(SEED)
        mass = np.array(self.catalogue.priors) + 1.0
        counts = random.integers(LEAST_LIKES, MOST_LIKES, PEOPLE, endpoint=True)
        # More than are wanted, because an item may be drawn twice.
        drawn = random.choice(len(mass), (PEOPLE, 4 * MOST_LIKES), p=mass / mass.sum())
        return [
            list(dict.fromkeys(rows))[:count]
            for rows, count in zip(drawn.tolist(), counts.tolist(), strict=True)
        ]

    def write(self, address: str, _: Path) -> None:
        """Write items in their order, then likes, and have the index built of all items."""
        known = self.catalogue
        made = (
            Item(
                id=known.ids[row],
                title=known.ids[row],
                text=known.texts[row],
                vector=self.vectors[row].astype("<f4").tobytes(),
                popularity_prior=known.priors[row],
            )
            for row in range(len(known.ids))
        )
        with grpc.insecure_channel(address) as channel:
            stub = ItemServiceStub(channel)
            for batch in _batches(made):
                request = items.BatchUpsertItemsRequest(items=batch)
                stub.BatchUpsertItems(request, timeout=_CALL_SECONDS)
        likes = ((f"p{at}", known.ids[row]) for at, rows in enumerate(self.likes) for row in rows)
        write_likes(address, likes)
        _rebuild(address)


def write_demo(address: str, home: Path) -> None:
    """Write the films and ratings of the demo."""
    dataset = fetch(CATALOGUE, state() / "cache")
    asyncio.run(loading.load(address, dataset, home / "loaded", Console(quiet=True)))


def write_likes(address: str, likes: Iterable[tuple[str, str]]) -> None:
    """Write that people like items, each a second after the one before."""
    made = (
        interactions.Interaction(
            event_id=f"bench {at} {user}", user_id=user, item_id=item, type="like"
        )
        for at, (user, item) in enumerate(likes)
    )
    moment = _BEGIN
    with grpc.insecure_channel(address) as channel:
        stub = InteractionServiceStub(channel)
        for batch in _batches(made):
            for like in batch:
                moment += 1
                like.time.FromSeconds(moment)
            request = interactions.WriteInteractionsRequest(interactions=batch)
            stub.WriteInteractions(request, timeout=_CALL_SECONDS)


def home_of(name: str, out: Path, worker: str, write: Write, base: Path | None = None) -> Path:
    """Return the home `name` in `out`; when it is not there, `write` fills it through a server.

    It begins as a copy of `base`, or empty.
    """
    home = out / f"home-{name}"
    if not (home / "complete").exists():
        shutil.rmtree(home, ignore_errors=True)
        if base is None:
            home.mkdir(parents=True)
        else:
            shutil.copytree(base, home)
            (home / "complete").unlink()
        with server(home, worker, out) as running:
            write(running.address, home)
        (home / "complete").touch()
    return home


def _rebuild(address: str) -> None:
    with grpc.insecure_channel(address) as channel:
        stub = AdminServiceStub(channel)
        started = stub.RebuildIndex(admin.RebuildIndexRequest(), timeout=_CALL_SECONDS)
        asked = admin.GetOperationRequest(id=started.operation.id)
        deadline = time.monotonic() + _REBUILD_SECONDS
        state = started.operation.state
        while state != admin.OPERATION_STATE_SUCCEEDED:
            if state == admin.OPERATION_STATE_FAILED or time.monotonic() > deadline:
                raise NotRun("the index could not be built")
            time.sleep(_POLL_SECONDS)
            state = stub.GetOperation(asked, timeout=_CALL_SECONDS).operation.state


def _batches(values: Iterator[T]) -> Iterator[list[T]]:
    while batch := list(islice(values, _BATCH)):
        yield batch
