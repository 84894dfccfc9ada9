"""Our own connections stay while nothing is sent: to a worker, and of an import that pauses."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc.aio import ServicerContext
from longtail.client.calls.channel import channel_options
from longtail.runtime import lifecycle
from longtail.runtime.deadline import within
from longtail.runtime.interceptor import ServiceInterceptor
from longtail.runtime.lifecycle import HealthBoard, new_server
from longtail.server.encoder import worker
from longtail.server.encoder.encoder import Encoder
from longtail.v1 import embedding_service_pb2_grpc, item_pb2, item_service_pb2_grpc
from longtail.v1 import item_service_pb2 as pb

from tests.pings import PING_MS, counted
from tests.unit.server.fake_worker import SERVICE, FakeWorker, answered_by, known

KEEPALIVE = "grpc.keepalive_time_ms"
MIN_PING_MS = lifecycle.MIN_PING_MS


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    # In the proportion that the real settings have to those of our own clients.
    monkeypatch.setattr(lifecycle, "MIN_PING_MS", PING_MS // 2)


def test_nobody_of_ours_pings_as_often_as_a_server_takes_ill() -> None:
    for options in (worker._CHANNEL_OPTIONS, channel_options("127.0.0.1:1")):
        [pause] = [int(value) for name, value in options if name == KEEPALIVE]
        assert pause >= 2 * MIN_PING_MS


async def test_an_idle_server_keeps_its_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    options = [(name, value) for name, value in worker._CHANNEL_OPTIONS if name != KEEPALIVE]
    monkeypatch.setattr(worker, "_CHANNEL_OPTIONS", [*options, (KEEPALIVE, PING_MS)])
    board = HealthBoard([SERVICE])
    server = new_server([], board)
    embedding = FakeWorker(7)
    embedding_service_pb2_grpc.add_EmbeddingServiceServicer_to_server(embedding, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    await board.set(SERVICE, serving=True)
    try:
        async with counted(port) as counter, Encoder(counter.address) as encoder:
            await known(encoder, 1)
            await asyncio.wait_for(counter.enough.wait(), 60)
            with within(20):
                assert await answered_by(encoder) == {7}
            assert counter.connections == 1
    finally:
        await server.stop(0)


async def count_items(
    requests: AsyncIterator[pb.ImportItemsRequest],
    _context: ServicerContext[pb.ImportItemsRequest, pb.ImportItemsResponse],
) -> pb.ImportItemsResponse:
    count = 0
    async for request in requests:
        count += len(request.items)
    return pb.ImportItemsResponse(imported_count=count)


async def test_an_import_that_pauses_goes_on() -> None:
    interceptor = ServiceInterceptor(max_in_flight=5, unary_seconds=100, stream_seconds=100)
    server = new_server([interceptor], HealthBoard([]))
    importing = item_service_pb2_grpc.ItemServiceServicer()
    importing.ImportItems = count_items  # type: ignore[method-assign]
    item_service_pb2_grpc.add_ItemServiceServicer_to_server(importing, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    # Without the last, gRPC pings no more than twice before it goes over to once a minute.
    options = [
        *((name, value) for name, value in channel_options("127.0.0.1:1") if name != KEEPALIVE),
        (KEEPALIVE, PING_MS),
        ("grpc.http2.max_pings_without_data", 0),
    ]
    try:
        async with (
            counted(port) as counter,
            grpc.aio.insecure_channel(counter.address, options=options) as channel,
        ):

            async def pausing() -> AsyncIterator[pb.ImportItemsRequest]:
                yield pb.ImportItemsRequest(items=[item_pb2.Item(id="before")])
                await asyncio.wait_for(counter.enough.wait(), 60)
                yield pb.ImportItemsRequest(items=[item_pb2.Item(id="after")])

            stub: Any = item_service_pb2_grpc.ItemServiceStub(channel)
            reply = await stub.ImportItems(pausing())
            assert (reply.imported_count, counter.connections) == (2, 1)
    finally:
        await server.stop(0)
