"""What keeps the calls of some from the places of others, over real gRPC."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from longtail.client.calls.errors import error_from_rpc
from longtail.runtime.interceptor import ServiceInterceptor

SILENT = 260


class Service:
    """Has one method of each kind; `One` waits until `go` is set."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.waiting = 0

    async def one(self, request: bytes, context: object) -> bytes:
        self.waiting += 1
        await self.go.wait()
        return b"one"

    async def ask(self, request: bytes, context: object) -> bytes:
        return b"asked"

    async def work(self, request: bytes, context: object) -> bytes:
        # Not for others: it has the event loop meanwhile.
        time.sleep(0.02)  # noqa: ASYNC251
        return b"worked"

    async def take(self, requests: AsyncIterator[bytes], context: object) -> bytes:
        return b"".join([each async for each in requests])

    async def give(self, request: bytes, context: object) -> AsyncIterator[bytes]:
        while True:
            yield bytes(2**20)


@asynccontextmanager
async def serving(
    service: Service, *, max_in_flight: int = 10, idle_seconds: float = 30.0
) -> AsyncIterator[grpc.aio.Channel]:
    def handlers(name: str) -> grpc.GenericRpcHandler:
        as_it_is: dict[str, Any] = {
            "request_deserializer": lambda content: content,
            "response_serializer": lambda content: content,
        }
        methods = {
            "One": grpc.unary_unary_rpc_method_handler(service.one, **as_it_is),
            "Ask": grpc.unary_unary_rpc_method_handler(service.ask, **as_it_is),
            "Work": grpc.unary_unary_rpc_method_handler(service.work, **as_it_is),
            "Take": grpc.stream_unary_rpc_method_handler(service.take, **as_it_is),
            "Give": grpc.unary_stream_rpc_method_handler(service.give, **as_it_is),
        }
        return grpc.method_handlers_generic_handler(name, methods)

    guard = ServiceInterceptor(
        max_in_flight=max_in_flight,
        unary_seconds=20.0,
        stream_seconds=20.0,
        max_streams=8,
        idle_seconds=idle_seconds,
        administration=["Admin"],
    )
    server = grpc.aio.server(interceptors=[guard])
    server.add_generic_rpc_handlers((handlers("longtail.v1.Raw"), handlers("longtail.v1.Admin")))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel
    finally:
        await server.stop(0)


@pytest.fixture(autouse=True)
def as_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let bytes pass for messages: nothing here is about what they hold."""
    for module in ("intake", "work"):
        monkeypatch.setattr(
            f"longtail.runtime.{module}.parse", lambda from_string, content: from_string(content)
        )


async def ask(channel: grpc.aio.Channel, method: str = "Raw/Ask") -> bytes:
    call: Any = channel.unary_unary(f"/longtail.v1.{method}")
    answer: bytes = await call(b"", timeout=10)
    return answer


async def test_streams_that_send_nothing_keep_nobody_else_out() -> None:
    async with serving(Service()) as channel:
        take: Any = channel.stream_unary("/longtail.v1.Raw/Take")
        silent = [take() for _ in range(SILENT)]
        codes: list[grpc.StatusCode] = []

        async def code(call: Any) -> None:  # noqa: ANN401 (of grpc)
            codes.append(await call.code())

        tasks = [asyncio.create_task(code(call)) for call in silent]
        # A caller has a quarter of the places for streams.
        async with asyncio.timeout(10):
            while len(codes) < SILENT - 2:  # noqa: ASYNC110 (of many, whichever end)
                await asyncio.sleep(0.01)
        assert set(codes) == {grpc.StatusCode.RESOURCE_EXHAUSTED}
        for method in ("Raw/Ask", "Admin/Ask"):
            assert await ask(channel, method) == b"asked"
        for task in tasks:
            task.cancel()


async def test_a_stream_that_sends_nothing_more_is_ended() -> None:
    async with serving(Service(), idle_seconds=0.1) as channel:
        take: Any = channel.stream_unary("/longtail.v1.Raw/Take")
        call = take()

        async def sent() -> None:
            await call.write(b"something")
            await call

        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await sent()
        error = error_from_rpc(caught.value)
        assert (error.code, error.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "STREAM_IDLE")
        assert error.message == "nothing was sent for 0.1 s"


@pytest.mark.parametrize("method", ["Raw/Ask", "Admin/Ask", "Raw/Give"])
async def test_a_call_whose_request_does_not_come_is_ended(method: str) -> None:
    async with serving(Service(), idle_seconds=0.1) as channel:
        # As a client may that is none of ours: a call is opened, and nothing is sent.
        opened: Any = channel.stream_unary(f"/longtail.v1.{method}")
        call = opened()
        async with asyncio.timeout(10):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
        error = error_from_rpc(caught.value)
        assert (error.code, error.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "STREAM_IDLE")


@pytest.mark.parametrize("method", ["Raw/Ask", "Admin/Ask", "Raw/Give"])
async def test_a_call_that_ends_without_a_request_is_a_mistake(method: str) -> None:
    async with serving(Service()) as channel:
        call: Any = channel.stream_unary(f"/longtail.v1.{method}")
        async with asyncio.timeout(10):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(iter(()))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_stream_that_is_not_read_leaves_its_place() -> None:
    async with serving(Service(), idle_seconds=0.1) as channel:
        give: Any = channel.unary_stream("/longtail.v1.Raw/Give")
        # Twice as many as a caller may have at a time.
        for _ in range(4):
            call = give(b"")
            async with asyncio.timeout(10):
                while True:
                    try:
                        await call.read()
                        break
                    except grpc.aio.AioRpcError:
                        await asyncio.sleep(0.02)
                        call = give(b"")


async def test_who_leaves_long_answers_unread_gets_no_more_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Long(Service):
        async def ask(self, request: bytes, context: object) -> bytes:
            return bytes(12_000_000) if request else b"short"

    monkeypatch.setattr("longtail.runtime.unread.MAX_CALLER_BYTES", 20_000_000)
    async with serving(Long()) as channel:
        # As a stream, so that no more is taken than its window holds before it is read.
        long: Any = channel.unary_stream("/longtail.v1.Raw/Ask")

        async def said_to_another() -> str:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await long(b"long").read()
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            return error_from_rpc(caught.value).message

        unread = long(b"long")
        await unread.initial_metadata()
        assert await said_to_another() == "too many answers wait to be read"
        assert await ask(channel) == b"short"
        unread.cancel()
        async with asyncio.timeout(10):
            # This client takes no message of that size.
            while "larger than max" not in await said_to_another():
                pass


async def test_administration_has_places_when_calls_hold_all_of_theirs() -> None:
    service = Service()
    async with serving(service, max_in_flight=2) as channel:
        held = [asyncio.create_task(ask(channel, "Raw/One")) for _ in range(2)]
        async with asyncio.timeout(10):
            while service.waiting < 2:  # noqa: ASYNC110 (the service counts)
                await asyncio.sleep(0.01)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ask(channel)
        error = error_from_rpc(caught.value)
        assert error.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert error.retry_after is not None
        assert await ask(channel, "Admin/Ask") == b"asked"
        service.go.set()
        assert await asyncio.gather(*held) == [b"one"] * 2


async def test_what_would_not_be_in_time_is_refused_before_and_the_rest_is_answered() -> None:
    async with serving(Service(), max_in_flight=1000) as channel:
        for _ in range(3):
            await ask(channel, "Raw/Work")
        call: Any = channel.unary_unary("/longtail.v1.Raw/Work")
        outcomes: Counter[grpc.StatusCode] = Counter()
        unknown_retry = 0

        async def one() -> None:
            nonlocal unknown_retry
            try:
                await call(b"", timeout=20.0)
                outcomes[grpc.StatusCode.OK] += 1
            except grpc.aio.AioRpcError as failure:
                error = error_from_rpc(failure)
                outcomes[error.code] += 1
                refused = error.code is grpc.StatusCode.RESOURCE_EXHAUSTED
                unknown_retry += refused and error.retry_after is None

        # Four seconds of work, and whatever time they have nobody is kept waiting for so long.
        await asyncio.gather(*(one() for _ in range(200)))
    assert outcomes[grpc.StatusCode.OK] >= 10
    assert outcomes[grpc.StatusCode.RESOURCE_EXHAUSTED] >= 100
    assert unknown_retry == 0


async def test_a_call_without_a_request_is_the_callers_mistake() -> None:
    async with serving(Service()) as channel:
        call: Any = channel.stream_unary("/longtail.v1.Raw/Ask")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(iter(()), timeout=10)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
