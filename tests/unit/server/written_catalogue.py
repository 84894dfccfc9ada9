"""A catalogue on a real store, behind real gRPC, with an encoder that needs no model."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2, status_pb2
from longtail.client.calls.errors import error_from_rpc
from longtail.runtime.errors import ServiceError
from longtail.runtime.interceptor import ServiceInterceptor
from longtail.runtime.keys import KeyRing
from longtail.server.encoder.passages import Embedded
from longtail.server.process.audit import Audit
from longtail.server.process.pools import Pools
from longtail.server.process.pseudonyms import Pseudonyms
from longtail.server.rpc.interactions import InteractionService
from longtail.server.rpc.items import ItemService
from longtail.server.rpc.reviews import ReviewService
from longtail.server.rpc.tokens.recommendation import TokenCodec
from longtail.server.store.group_commit import GroupCommit
from longtail.server.store.record_store import RecordStore
from longtail.server.store.records import BoundEncoder, EncoderBinding
from longtail.server.write.writer import Catalogue
from longtail.v1 import (
    embedding_service_pb2,
    interaction_service_pb2_grpc,
    item_pb2,
    item_service_pb2,
    item_service_pb2_grpc,
    review_service_pb2_grpc,
)
from numpy.typing import NDArray

from tests.unit.server.new_stores import open_store

DIMENSION = 4
PLAIN = Pseudonyms()
ATTRIBUTE_NAMES = 20
FIRST, SECOND = EncoderBinding("first@1", DIMENSION), EncoderBinding("second@1", DIMENSION)
OWN = np.array([0, 0, 0, 2], "<f4").tobytes()


def vector_of(text: str, binding: EncoderBinding) -> NDArray[np.float32]:
    seed = zlib.crc32(f"{binding.model_id} {text}".encode())
    vector = np.random.default_rng(seed).normal(size=binding.dimension)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


class FakeEncoder:
    """Gives a text the same vector each time, and keeps what it was asked for.

    `failures` fail the calls that hold their text, `refused` the text alone; while `go` is not set
    every call waits, and `meanwhile` is what happens during each.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[tuple[str, ...], embedding_service_pb2.Lane, str]] = []
        self.failures: dict[str, ServiceError] = {}
        self.refused: dict[str, ServiceError] = {}
        self.go = asyncio.Event()
        self.go.set()
        self.meanwhile: Callable[[], Awaitable[object]] | None = None
        self._called = asyncio.Condition()

    async def called(self, times: int) -> None:
        """Wait until it was called so often."""
        async with self._called:
            await self._called.wait_for(lambda: len(self.calls) >= times)

    @property
    def texts(self) -> list[str]:
        return [text for texts, _, _ in self.calls for text in texts]

    async def embed(
        self,
        texts: Sequence[str],
        role: embedding_service_pb2.Role,
        lane: embedding_service_pb2.Lane,
        binding: EncoderBinding,
    ) -> list[Embedded]:
        self.calls.append((tuple(texts), lane, binding.model_id))
        async with self._called:
            self._called.notify_all()
        await self.go.wait()
        if self.meanwhile is not None:
            await self.meanwhile()
        for text in texts:
            if text in self.failures:
                raise self.failures[text]
        return [self.refused.get(text) or vector_of(text, binding) for text in texts]


class WrittenCatalogue:
    """What a test looks at: the store, the encoder, and the services by their stubs."""

    def __init__(
        self, store: RecordStore, commit: GroupCommit, first: BoundEncoder, audit: Audit
    ) -> None:
        self.store, self.commit = store, commit
        self.encoder = FakeEncoder()
        self.pools = Pools()
        # What a view would say; it may lag behind the store.
        self.bound = first
        self.catalogue = Catalogue(
            store,
            lambda: self.bound,
            self.encoder.embed,
            commit,
            self.pools,
            audit,
            ATTRIBUTE_NAMES,
        )
        self.tokens = TokenCodec(store.token_key())
        self.items: item_service_pb2_grpc.ItemServiceStub
        self.interactions: interaction_service_pb2_grpc.InteractionServiceStub
        self.reviews: review_service_pb2_grpc.ReviewServiceStub

    def has(self, item_ids: Sequence[str]) -> list[bool]:
        """Return what a view of the store would say."""
        held = self.store.items.get(item_ids)
        return [item_id in held for item_id in item_ids]

    async def switch_encoder(self, binding: EncoderBinding) -> BoundEncoder:
        """Switch the store to another encoder, once that has all vectors; `bound` stays."""

        def switch() -> BoundEncoder:
            bound = self.commit.submit(lambda tx: self.store.encoders.prepare(tx, binding)).result()
            rows = [
                (pending.id, pending.revision, vector_of(pending.id, binding))
                for pending in self.store.encoders.pending(bound.id, 1000)
            ]
            self.commit.submit(
                lambda tx: self.store.encoders.put_vectors(tx, bound.id, rows)
            ).result()
            self.commit.submit(
                lambda tx: self.store.encoders.switch(tx, bound.id, after=0)
            ).result()
            return bound

        return await asyncio.to_thread(switch)

    def vector(self, item_id: str) -> NDArray[np.float32]:
        current = self.store.encoders.current()
        assert current is not None
        return self.store.changes.vectors(current.id, [item_id])[item_id]

    def drop_vector(self, item_id: str) -> None:
        """Leave an item as a change of the encoder does that cannot encode its text."""
        self.commit.submit(
            lambda tx: tx.exec_driver_sql("DELETE FROM vectors WHERE item_id = ?", (item_id,))
        ).result()

    def revision(self) -> int:
        return self.store.changes.position().revision


@asynccontextmanager
async def written_catalogue(
    folder: Path,
    *,
    pseudonyms: Pseudonyms = PLAIN,
    kept_days: float = 0.0,
    keys: KeyRing | None = None,
) -> AsyncIterator[WrittenCatalogue]:
    store = open_store(folder / "longtail.db")
    interceptor = ServiceInterceptor(
        max_in_flight=50, unary_seconds=120, stream_seconds=120, keys=keys
    )
    server = grpc.aio.server(interceptors=[interceptor])
    with (
        closing(store),
        closing(Audit(folder / "audit", None, 10**6)) as audit,
        store.group_commit(lambda: None, 100) as commit,
    ):
        first = commit.submit(lambda tx: store.encoders.bind(tx, FIRST)).result()
        written = WrittenCatalogue(store, commit, first, audit)
        item_service_pb2_grpc.add_ItemServiceServicer_to_server(
            ItemService(store.items, written.catalogue, written.pools), server
        )
        interaction_service_pb2_grpc.add_InteractionServiceServicer_to_server(
            InteractionService(
                store.interactions,
                written.catalogue,
                written.tokens,
                written.pools,
                pseudonyms,
                kept_days,
                written.has,
            ),
            server,
        )
        review_service_pb2_grpc.add_ReviewServiceServicer_to_server(
            ReviewService(store, written.catalogue, written.pools), server
        )
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        with written.pools:
            try:
                async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                    written.items = item_service_pb2_grpc.ItemServiceStub(channel)
                    stub = interaction_service_pb2_grpc.InteractionServiceStub(channel)
                    written.interactions = stub
                    written.reviews = review_service_pb2_grpc.ReviewServiceStub(channel)
                    yield written
            finally:
                await server.stop(0)


def item(item_id: str, **values: Any) -> item_pb2.Item:  # noqa: ANN401 (fields of any type)
    return item_pb2.Item(**{"id": item_id, "title": f"title of {item_id}", **values})


def batch(*items: item_pb2.Item, request_id: str = "") -> item_service_pb2.BatchUpsertItemsRequest:
    return item_service_pb2.BatchUpsertItemsRequest(items=items, request_id=request_id)


async def get(written: WrittenCatalogue, item_id: str) -> item_pb2.Item:
    reply: item_service_pb2.GetItemResponse = await written.items.GetItem(
        item_service_pb2.GetItemRequest(id=item_id)
    )
    return reply.item


async def refused(call: Awaitable[object]) -> tuple[grpc.StatusCode, list[str]]:
    """Return the code of a call that fails, and the fields that it names."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    error = error_from_rpc(caught.value)
    return error.code, [violation.field for violation in error.violations]


def fields(status: status_pb2.Status) -> list[str]:
    named: list[str] = []
    for detail in status.details:
        bad = error_details_pb2.BadRequest()
        if detail.Unpack(bad):
            named += [violation.field for violation in bad.field_violations]
    return named
