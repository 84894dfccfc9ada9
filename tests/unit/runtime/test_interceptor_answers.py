"""What the interceptor does to an RPC that streams its answer, over real gRPC."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import grpc
import pytest
from longtail.client import LongtailError
from longtail.client.calls.errors import error_from_rpc
from longtail.runtime.deadline import remaining_seconds
from longtail.runtime.errors import NotFound
from longtail.runtime.interceptor import ServiceInterceptor
from longtail.v1 import embedding_service_pb2 as pb
from prometheus_client import REGISTRY

Answers = Callable[[], AsyncGenerator[pb.EmbedResponse, None]]

Call: TypeAlias = "grpc.aio.UnaryStreamCall[bytes, pb.EmbedResponse]"

NAME = "Streams/Answer"
UNARY_SECONDS = 0.01
# More than a connection takes before its reader has read anything.
LARGE = pb.EmbedResponse(vectors=bytes(8 * 2**20))


@asynccontextmanager
async def serving(
    answers: Answers, max_in_flight: int = 10, stream_seconds: float = 10.0
) -> AsyncIterator["Start"]:
    """Serve what `answers` yields."""

    def answer(request: pb.EmbedRequest, context: object) -> AsyncGenerator[pb.EmbedResponse, None]:
        return answers()

    handler = grpc.unary_stream_rpc_method_handler(
        answer,
        request_deserializer=pb.EmbedRequest.FromString,
        response_serializer=pb.EmbedResponse.SerializeToString,
    )
    interceptor = ServiceInterceptor(
        max_in_flight=1,
        max_streams=max_in_flight,
        unary_seconds=UNARY_SECONDS,
        stream_seconds=stream_seconds,
    )
    server = grpc.aio.server(interceptors=[interceptor])
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("longtail.v1.Streams", {"Answer": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(
            f"127.0.0.1:{port}", options=[("grpc.max_receive_message_length", -1)]
        ) as channel:
            yield Start(channel)
    finally:
        await server.stop(0)


class Start:
    """Starts calls whose request are bytes as they are."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self._method: Any = channel.unary_stream(
            f"/longtail.v1.{NAME}", response_deserializer=pb.EmbedResponse.FromString
        )

    def __call__(self, request: bytes, timeout: float | None = None) -> Call:
        call: Call = self._method(request, timeout=timeout)
        return call


class Endless:
    """Answers for ever, and says when it has begun and when it has been closed."""

    def __init__(self, answer: pb.EmbedResponse, pause_after: int = 1_000_000) -> None:
        self.begun, self.closed = asyncio.Event(), asyncio.Event()
        self._answer, self._pause_after = answer, pause_after

    async def __call__(self) -> AsyncGenerator[pb.EmbedResponse, None]:
        self.begun.set()
        try:
            for _ in range(self._pause_after):
                yield self._answer
            await asyncio.Event().wait()
        finally:
            self.closed.set()


async def read_all(call: Call) -> list[pb.EmbedResponse]:
    return [answer async for answer in call]


async def failure(call: Call) -> LongtailError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await read_all(call)
    return error_from_rpc(caught.value)


async def until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110 - the metrics have no event
        await asyncio.sleep(0.005)


def metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def total(code: str) -> float:
    return metric("longtail_rpc_total", method=NAME, code=code)


def in_flight() -> float:
    return metric("longtail_rpc_in_flight")


async def test_answers_arrive_in_order_and_the_call_is_counted_and_timed() -> None:
    async def answers() -> AsyncGenerator[pb.EmbedResponse, None]:
        for number in range(100):
            yield pb.EmbedResponse(dimension=number)

    ended, timed = total("OK"), metric("longtail_rpc_seconds_count", method=NAME)
    async with serving(answers) as start:
        received = await read_all(start(b""))
    assert [answer.dimension for answer in received] == list(range(100))
    assert total("OK") == ended + 1
    assert metric("longtail_rpc_seconds_count", method=NAME) == timed + 1
    assert in_flight() == 0


async def test_an_expected_failure_after_some_answers_keeps_its_status_and_details() -> None:
    async def answers() -> AsyncGenerator[pb.EmbedResponse, None]:
        yield pb.EmbedResponse(dimension=1)
        raise NotFound("item", "alien")

    ended = total("NOT_FOUND")
    async with serving(answers) as start:
        call = start(b"")
        received = [await call.read()]
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
        error = error_from_rpc(caught.value)
    assert received == [pb.EmbedResponse(dimension=1)]
    assert error.code is grpc.StatusCode.NOT_FOUND
    assert error.reason == "NOT_FOUND"
    assert total("NOT_FOUND") == ended + 1


async def test_an_unexpected_failure_tells_nothing_of_itself() -> None:
    async def answers() -> AsyncGenerator[pb.EmbedResponse, None]:
        yield pb.EmbedResponse()
        raise RuntimeError("the password is 1234")

    async with serving(answers) as start:
        error = await failure(start(b""))
    assert error.code is grpc.StatusCode.INTERNAL
    assert error.message.startswith("internal error, request_id=")


async def test_a_request_that_cannot_be_parsed_is_the_callers_mistake() -> None:
    answers = Endless(pb.EmbedResponse())
    async with serving(answers) as start:
        error = await failure(start(b"\x0a\x7fabc"))
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert [violation.field for violation in error.violations] == ["request"]
    assert not answers.begun.is_set()


async def test_too_many_in_flight_are_refused_at_once_and_none_later() -> None:
    answers = Endless(pb.EmbedResponse(), pause_after=1)
    async with serving(answers, max_in_flight=1) as start:
        held = start(b"")
        await held.read()
        refused = await failure(start(b""))
        assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert refused.retry_after is not None
        held.cancel()
        await answers.closed.wait()
        await start(b"").read()


@pytest.mark.parametrize(("limit", "given"), [(0.2, None), (10.0, 0.2)])
async def test_answers_past_the_shorter_of_the_deadline_and_ours_are_ended(
    limit: float, given: float | None
) -> None:
    answers = Endless(pb.EmbedResponse(), pause_after=3)
    async with serving(answers, stream_seconds=limit) as start:
        error = await failure(start(b"", timeout=given))
        assert error.code is grpc.StatusCode.DEADLINE_EXCEEDED
        # The caller's may have passed before the call was there.
        if answers.begun.is_set():
            await answers.closed.wait()


async def test_the_work_knows_the_deadline_of_a_stream_and_not_that_of_a_unary_call() -> None:
    left: list[float] = []

    async def answers() -> AsyncGenerator[pb.EmbedResponse, None]:
        left.append(remaining_seconds())
        yield pb.EmbedResponse()

    async with serving(answers, stream_seconds=30.0) as start:
        await read_all(start(b""))
    assert UNARY_SECONDS < left[0] <= 30.0


async def test_a_caller_that_does_not_read_is_no_longer_work_after_the_limit() -> None:
    answers = Endless(LARGE)
    ended = total("DEADLINE_EXCEEDED")
    async with serving(answers, max_in_flight=1, stream_seconds=0.2) as start:
        call = start(b"")
        await answers.closed.wait()
        await until(lambda: in_flight() == 0)
        # Its status comes when it reads at last.
        error = await failure(call)
    assert error.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert total("DEADLINE_EXCEEDED") == ended + 1


@pytest.mark.parametrize("answer", [pb.EmbedResponse(), LARGE], ids=["reading", "not reading"])
async def test_a_caller_that_gives_up_leaves_nothing_running(answer: pb.EmbedResponse) -> None:
    answers = Endless(answer)
    ended = total("CANCELLED")
    async with serving(answers) as start:
        call = start(b"")
        await call.read()
        call.cancel()
        await answers.closed.wait()
        await until(lambda: in_flight() == 0)
    assert total("CANCELLED") == ended + 1


async def test_a_caller_whose_connection_breaks_leaves_nothing_running(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answers = Endless(pb.EmbedResponse(vectors=bytes(1000)))
    async with serving(answers) as start:
        await start(b"").read()
        await start.channel.close()
        await answers.closed.wait()
        await until(lambda: in_flight() == 0)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_server_that_stops_leaves_nothing_running() -> None:
    answers = Endless(pb.EmbedResponse(), pause_after=1)
    async with serving(answers) as start:
        await start(b"").read()
    await answers.closed.wait()
    assert in_flight() == 0
