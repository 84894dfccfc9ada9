"""What ends a server, and how; and what does not end a connection to it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from longtail.runtime import lifecycle
from longtail.runtime.lifecycle import HealthBoard, Listener, new_server, serve
from longtail.runtime.listening import CannotListen, ListenAddress
from longtail.runtime.tls import FollowedFiles, TlsFiles, server_credentials

from tests.certificates import Authority
from tests.pings import PING_MS, PingCounter, counted


async def serve_until(
    stop_when: asyncio.Future[None],
    background: asyncio.Future[None],
    address: ListenAddress | None = None,
) -> None:
    async def stopped() -> None:
        await stop_when

    async def working() -> None:
        await background

    board = HealthBoard([])
    await serve(
        Listener(
            new_server([], board),
            address or ListenAddress.parse("APP_ADDRESS", "127.0.0.1:0"),
            [],
        ),
        board=board,
        background={"work": working()},
        drain_seconds=1.0,
        stop_when=stopped(),
    )


def ended(failure: Exception | None = None) -> asyncio.Future[None]:
    future = asyncio.get_running_loop().create_future()
    if failure is None:
        future.set_result(None)
    else:
        future.set_exception(failure)
    return future


def endless() -> asyncio.Future[None]:
    return asyncio.get_running_loop().create_future()


async def test_the_stop_condition_ends_the_server_without_a_failure() -> None:
    background = endless()
    await serve_until(ended(), background)
    assert background.cancelled()


async def test_a_stop_condition_that_dies_is_a_failure() -> None:
    with pytest.raises(OSError, match="no lifeline"):
        await serve_until(ended(OSError("no lifeline")), endless())


async def test_the_end_of_a_background_task_is_a_failure() -> None:
    stop_when = endless()
    with pytest.raises(RuntimeError, match="'work' ended"):
        await serve_until(stop_when, ended())
    assert stop_when.cancelled()


async def test_an_address_that_was_taken_meanwhile_is_named_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        taken = f"127.0.0.1:{holder.getsockname()[1]}"
        address = ListenAddress.parse("APP_ADDRESS", taken)
        with pytest.raises(CannotListen, match=f"cannot listen on {taken}: .*; set APP_ADDRESS "):
            await serve_until(endless(), endless(), address)


async def test_a_part_that_fails_is_shown_and_the_process_serves() -> None:
    board = HealthBoard(["service"], ["indexer"])
    await board.set("service", serving=True)
    await board.set_part("indexer", well=False)
    assert await shown(board, "indexer", "service", "") == [False, True, True]
    await board.set_part("indexer", well=True)
    await board.set("service", serving=False)
    assert await shown(board, "indexer", "service", "") == [True, False, False]


async def shown(board: HealthBoard, *services: str) -> list[bool]:
    serving = health_pb2.HealthCheckResponse.SERVING
    server = new_server([], board)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        async with grpc.aio.insecure_channel(address) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            requests = [health_pb2.HealthCheckRequest(service=name) for name in services]
            return [(await stub.Check(request)).status == serving for request in requests]
    finally:
        await server.stop(0)


@asynccontextmanager
async def pinged() -> AsyncIterator[tuple[PingCounter, grpc.aio.Channel]]:
    """Serve to a client that asks every PING_MS whether the server is still there."""
    board = HealthBoard([])
    server = new_server([], board)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    await board.publish()
    options = [
        ("grpc.keepalive_time_ms", PING_MS),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    ]
    try:
        async with (
            counted(port) as counter,
            grpc.aio.insecure_channel(counter.address, options=options) as channel,
        ):
            yield counter, channel
    finally:
        await server.stop(0)


async def end_of_connection(port: int, sent: bytes) -> None:
    """Return when the server ends a connection on which nothing but `sent` is said."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sent)
        while await reader.read(1000):
            pass
    except ConnectionResetError:
        pass
    finally:
        writer.close()


async def test_who_opens_a_connection_and_does_not_use_it_does_not_keep_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(lifecycle, "HANDSHAKE_MS", 100)
    monkeypatch.setattr(lifecycle, "IDLE_MS", 200)
    shown = Authority(tmp_path).certify("server")
    files = FollowedFiles(TlsFiles(str(shown.certificate), str(shown.private_key)))
    board = HealthBoard([])
    server = new_server([], board)
    plain = server.add_insecure_port("127.0.0.1:0")
    encrypted = server.add_secure_port("127.0.0.1:0", server_credentials(files))
    await server.start()
    await board.publish()
    begin = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    settings, half_a_hello = bytes((0, 0, 0, 4, 0, 0, 0, 0, 0)), bytes((22, 3, 1, 2, 0, 1))
    unused = [
        (plain, b""),
        (plain, begin),
        (plain, begin + settings),
        (encrypted, b""),
        (encrypted, half_a_hello),
    ]
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{plain}") as channel:
            health: Any = health_pb2_grpc.HealthStub(channel)
            # A handshake that takes too long is tried again.
            watch = health.Watch(health_pb2.HealthCheckRequest(), wait_for_ready=True)
            await watch.read()
            ends = [end_of_connection(port, sent) for port, sent in unused]
            await asyncio.wait_for(asyncio.gather(*ends), 30)
            # Who waits for news uses it.
            assert not watch.done()
            watch.cancel()
        # A connection of its own, which a client of gRPC opens again by itself.
        alone = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{plain}", options=alone) as channel:
            again: Any = health_pb2_grpc.HealthStub(channel)
            await again.Check(health_pb2.HealthCheckRequest(), wait_for_ready=True)
            ended = channel.wait_for_state_change(grpc.ChannelConnectivity.READY)
            await asyncio.wait_for(ended, 30)
            await again.Check(health_pb2.HealthCheckRequest(), wait_for_ready=True)
    finally:
        await server.stop(0)


async def test_a_client_may_ask_again_and_again_whether_an_idle_server_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # In the proportion that the real settings have to those of our own clients.
    monkeypatch.setattr(lifecycle, "MIN_PING_MS", PING_MS // 2)
    async with pinged() as (waiting, watched), pinged() as (idle, unused):
        request = health_pb2.HealthCheckRequest()
        healths: list[Any] = [health_pb2_grpc.HealthStub(each) for each in (watched, unused)]
        watch = healths[0].Watch(request)
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        await healths[1].Check(request)
        await asyncio.wait_for(waiting.enough.wait(), 30)
        await asyncio.wait_for(idle.enough.wait(), 30)
        assert not watch.done()
        for health in healths:
            await health.Check(request)
        assert (waiting.connections, idle.connections) == (1, 1)
