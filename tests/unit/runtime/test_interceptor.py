"""What the interceptor does to every RPC, over real gRPC with a small service behind it."""

import asyncio
import contextlib
import gc
import logging
import re
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from longtail.client import LongtailError
from longtail.client.calls.errors import error_from_rpc
from longtail.runtime import intake
from longtail.runtime.deadline import remaining_seconds
from longtail.runtime.errors import InvalidArgument, Overloaded, Violation
from longtail.runtime.interceptor import ServiceInterceptor
from longtail.runtime.message_size import MAX_MESSAGE_BYTES, MAX_REQUEST_BYTES
from longtail.runtime.tracing import Spans, Tracer, current_trace
from longtail.v1 import embedding_service_pb2 as pb
from longtail.v1 import embedding_service_pb2_grpc as pb_grpc
from prometheus_client import REGISTRY
from prometheus_client.openmetrics.exposition import generate_latest

Answer = Callable[[], Awaitable[pb.GetModelResponse | bytes]]

MALFORMED = {
    "a lone surrogate": b"\x0a\x03\xed\xa0\x80",
    "half a character": b"\x0a\x01\xe6",
    "less than it promises": b"\x0a\x7fabc",
    "no message": b"\xff\xff\xff\xff",
}


class FakeService(pb_grpc.EmbeddingServiceServicer):
    """Answers GetModel with what `answer` does."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def GetModel(self, request: Message, context: object) -> pb.GetModelResponse | bytes:  # noqa: N802
        return await self._answer()


@asynccontextmanager
async def serving(
    answer: Answer,
    max_in_flight: int = 10,
    unary_seconds: float = 10.0,
    options: Sequence[tuple[str, int]] = (),
    tracer: Tracer | None = None,
) -> AsyncIterator[pb_grpc.EmbeddingServiceStub]:
    guard = ServiceInterceptor(
        max_in_flight=max_in_flight,
        unary_seconds=unary_seconds,
        stream_seconds=10.0,
        tracer=tracer,
    )
    server = grpc.aio.server(interceptors=[guard])
    pb_grpc.add_EmbeddingServiceServicer_to_server(FakeService(answer), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
            yield pb_grpc.EmbeddingServiceStub(channel)
    finally:
        await server.stop(0)


async def failure(stub: pb_grpc.EmbeddingServiceStub, seconds: float = 10.0) -> LongtailError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.GetModel(pb.GetModelRequest(), timeout=seconds)
    return error_from_rpc(caught.value)


async def test_a_traced_call_is_sent_with_its_status_and_is_the_example_of_its_time() -> None:
    sent: list[Spans] = []

    async def answer() -> pb.GetModelResponse:
        trace = current_trace()
        assert trace is not None
        assert not sent
        raise InvalidArgument(Violation("texts[3]", "is blank"))

    async with serving(answer, tracer=Tracer(sent.append, 1.0)) as stub:
        await failure(stub)
    [spans] = sent
    [span] = spans.spans
    assert span.name == "longtail.v1.EmbeddingService/GetModel"
    assert span.attributes["rpc.response.status_code"] == "INVALID_ARGUMENT"
    exposed: bytes = generate_latest(REGISTRY)  # type: ignore[no-untyped-call]  # of a library
    buckets = [
        line
        for line in exposed.decode().splitlines()
        if line.startswith("longtail_rpc_seconds_bucket") and "EmbeddingService/GetModel" in line
    ]
    assert any(f'trace_id="{spans.trace_id}"' in line for line in buckets)


async def test_an_expected_failure_keeps_its_status_and_details() -> None:
    async def answer() -> pb.GetModelResponse:
        raise InvalidArgument(Violation("texts[3]", "is blank"))

    async with serving(answer) as stub:
        error = await failure(stub)
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.reason == "INVALID_ARGUMENT"
    assert [violation.field for violation in error.violations] == ["texts[3]"]


async def test_a_failure_that_echoes_much_keeps_its_status_and_details() -> None:
    async def answer() -> pb.GetModelResponse:
        raise InvalidArgument(*(Violation(f"texts[{n}]", f"is {'ü' * 10_000}") for n in range(99)))

    async with serving(answer) as stub:
        error = await failure(stub)
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.violations[0].field == "texts[0]"


class RawService:
    """Takes EmbedRequests, one by one or as a stream, and keeps those that arrive."""

    def __init__(self) -> None:
        self.arrived: list[pb.EmbedRequest] = []
        self.parsed_in: list[int] = []
        self.parsed_bytes = 0

    def parse(self, content: bytes) -> pb.EmbedRequest:
        self.parsed_in.append(threading.get_ident())
        self.parsed_bytes += len(content)
        return pb.EmbedRequest.FromString(content)

    async def one(self, request: pb.EmbedRequest, context: object) -> pb.EmbedResponse:
        self.arrived.append(request)
        return pb.EmbedResponse()

    async def many(
        self, requests: AsyncIterator[pb.EmbedRequest], context: object
    ) -> pb.EmbedResponse:
        async for request in requests:
            self.arrived.append(request)
        return pb.EmbedResponse()


@asynccontextmanager
async def serving_raw(
    service: RawService, batches: Sequence[str] = ()
) -> AsyncIterator[grpc.aio.Channel]:
    """Serve `service` to a channel that sends bytes as they are."""
    serializers: dict[str, Any] = {
        "request_deserializer": service.parse,
        "response_serializer": pb.EmbedResponse.SerializeToString,
    }
    handlers = {
        "One": grpc.unary_unary_rpc_method_handler(service.one, **serializers),
        "Many": grpc.stream_unary_rpc_method_handler(service.many, **serializers),
    }
    guard = ServiceInterceptor(
        max_in_flight=10, unary_seconds=10.0, stream_seconds=10.0, batches=batches
    )
    options = [("grpc.max_receive_message_length", MAX_MESSAGE_BYTES)]
    server = grpc.aio.server(interceptors=[guard], options=options)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("longtail.v1.Raw", handlers),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel
    finally:
        await server.stop(0)


async def send(channel: grpc.aio.Channel, content: bytes) -> None:
    call: Any = channel.unary_unary("/longtail.v1.Raw/One")
    await call(content, timeout=10)


async def stream(channel: grpc.aio.Channel, contents: list[bytes]) -> None:
    call: Any = channel.stream_unary("/longtail.v1.Raw/Many")
    await call(iter(contents), timeout=10)


def blamed(caught: pytest.ExceptionInfo[grpc.aio.AioRpcError]) -> list[str]:
    """Return the fields that an INVALID_ARGUMENT names, whose message names the type too."""
    error = error_from_rpc(caught.value)
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert "longtail.v1.EmbedRequest" in error.message
    return [violation.field for violation in error.violations]


@pytest.mark.parametrize("content", MALFORMED.values(), ids=MALFORMED.keys())
async def test_a_request_that_cannot_be_parsed_is_the_callers_mistake(content: bytes) -> None:
    service, good = RawService(), pb.EmbedRequest(texts=["a film"])
    async with serving_raw(service) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await send(channel, content)
        assert blamed(caught) == ["request"]
        await send(channel, good.SerializeToString())
    assert service.arrived == [good]


@pytest.mark.parametrize("content", MALFORMED.values(), ids=MALFORMED.keys())
async def test_a_stream_ends_at_the_request_that_cannot_be_parsed(content: bytes) -> None:
    service, good = RawService(), pb.EmbedRequest(texts=["a film"])
    async with serving_raw(service) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stream(channel, [good.SerializeToString(), content, good.SerializeToString()])
        assert blamed(caught) == ["request"]
    assert service.arrived == [good]


@pytest.mark.parametrize(("characters", "aside"), [(10, False), (200_000, True)])
async def test_a_large_request_is_parsed_aside_and_arrives_the_same(
    characters: int, aside: bool
) -> None:
    service, given = RawService(), pb.EmbedRequest(texts=["é" * characters, "", "last"])
    content = given.SerializeToString()
    async with serving_raw(service) as channel:
        await send(channel, content)
        await stream(channel, [content, content])
    assert service.arrived == [given] * 3
    loop = threading.get_ident()
    assert [thread != loop for thread in service.parsed_in] == [aside] * 3


async def test_a_large_request_that_cannot_be_parsed_is_the_callers_mistake() -> None:
    service = RawService()
    content = pb.EmbedRequest(texts=["x" * 200_000]).SerializeToString()[:-1]
    async with serving_raw(service) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await send(channel, content)
        assert blamed(caught) == ["request"]
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stream(channel, [content])
        assert blamed(caught) == ["request"]


async def test_elements_that_no_field_takes_are_refused_unparsed() -> None:
    service = RawService()
    async with serving_raw(service) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await send(channel, b"\x0a\x00" * 2_000_000)
    error = error_from_rpc(caught.value)
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert [violation.field for violation in error.violations] == ["texts"]
    assert service.parsed_bytes == 0


async def test_only_batches_and_streams_may_be_as_large_as_a_message() -> None:
    service = RawService()
    most, texts = MAX_REQUEST_BYTES - 5, [b"x" * (MAX_REQUEST_BYTES // 2)] * 3
    large = b"".join(b"\x0a" + b"\x80\x80\x80\x01" + text for text in texts)
    async with serving_raw(service) as channel:
        await send(channel, pb.EmbedRequest(texts=["x" * most]).SerializeToString())
        parsed = service.parsed_bytes
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await send(channel, pb.EmbedRequest(texts=["x" * (most + 1)]).SerializeToString())
        assert service.parsed_bytes == parsed
        await stream(channel, [large])
    error = error_from_rpc(caught.value)
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert [(each.field, each.description) for each in error.violations] == [
        ("request", f"has {MAX_REQUEST_BYTES + 1} bytes, over {MAX_REQUEST_BYTES}")
    ]
    async with serving_raw(service, batches=["Raw/One"]) as channel:
        await send(channel, large)
    assert service.arrived[-1] == service.arrived[-2]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(bytes(MAX_REQUEST_BYTES + 123), id="too large"),
        # Which a thread finds.
        pytest.param(b"\x0a\x00" * 100_123, id="too many elements"),
    ],
)
async def test_nothing_of_a_request_that_was_refused_is_kept(content: bytes) -> None:
    size = len(content)

    def kept() -> int:
        found = (each for holder in gc.get_objects() for each in gc.get_referents(holder))
        # Not isinstance: some libraries warn when they are asked for their class.
        contents = (each for each in found if type(each) is bytes and len(each) == size)
        return sum(each is not content for each in contents)

    # Here as often in a server: the collector of cycles does not come by. What there was before
    # is not looked through.
    gc.disable()
    gc.freeze()
    try:
        async with serving_raw(RawService()) as channel:
            for _ in range(3):
                with pytest.raises(grpc.aio.AioRpcError):
                    await send(channel, content)
            # The caller has its answer a moment before the call is over.
            for _ in range(1_000):
                if not kept():
                    break
                await asyncio.sleep(0.01)
            assert kept() == 0
    finally:
        gc.unfreeze()
        gc.enable()


async def test_large_requests_in_flight_have_a_limit_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    go, two = asyncio.Event(), asyncio.Event()
    large = pb.EmbedRequest(texts=["x" * 2_000_000]).SerializeToString()

    class Waiting(RawService):
        async def one(self, request: pb.EmbedRequest, context: object) -> pb.EmbedResponse:
            self.arrived.append(request)
            if len(self.arrived) == 2:
                two.set()
            if len(request.texts[0]) > 10:
                await go.wait()
            return pb.EmbedResponse()

    monkeypatch.setattr(intake, "MAX_LARGE_BYTES", 5_000_000)
    service = Waiting()
    async with serving_raw(service) as channel:
        first = [asyncio.create_task(send(channel, large)) for _ in range(2)]
        await asyncio.wait_for(two.wait(), 10)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await send(channel, large)
        error = error_from_rpc(caught.value)
        assert (error.code, error.retry_after) == (grpc.StatusCode.RESOURCE_EXHAUSTED, 0.1)
        # What is small goes on.
        await send(channel, pb.EmbedRequest(texts=["a film"]).SerializeToString())
        go.set()
        await asyncio.gather(*first)
        await send(channel, large)
    assert len(service.arrived) == 4


async def test_what_a_few_bytes_stand_for_is_not_unpacked_beyond_a_message() -> None:
    service = RawService()
    async with serving_raw(service, batches=["Raw/One"]) as channel:
        call: Any = channel.unary_unary("/longtail.v1.Raw/One")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(bytes(MAX_MESSAGE_BYTES + 1), timeout=10, compression=grpc.Compression.Gzip)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert service.parsed_bytes == 0


async def test_an_answer_that_is_serialized_already_is_sent_as_it_is() -> None:
    given = pb.GetModelResponse(model=pb.Model(model_id="m@1"))

    async def answer() -> bytes:
        return given.SerializeToString()

    async with serving(answer) as stub:
        assert await stub.GetModel(pb.GetModelRequest(), timeout=10) == given


@pytest.mark.parametrize("waits", [0, 1, 3])
async def test_work_may_wait_as_often_as_it_likes(waits: int) -> None:
    async def answer() -> pb.GetModelResponse:
        for _ in range(waits):
            await asyncio.sleep(0)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0):
                    await asyncio.Event().wait()
        return pb.GetModelResponse(model=pb.Model(dimension=waits))

    async with serving(answer) as stub:
        reply = await stub.GetModel(pb.GetModelRequest(), timeout=10)
    assert reply.model.dimension == waits


async def test_overload_says_when_to_come_back() -> None:
    async def answer() -> pb.GetModelResponse:
        raise Overloaded("too much", retry_seconds=0.25)

    async with serving(answer) as stub:
        error = await failure(stub)
    assert error.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert error.retry_after == 0.25


async def test_an_unexpected_failure_tells_nothing_of_itself() -> None:
    async def answer() -> pb.GetModelResponse:
        raise RuntimeError("the password is 1234")

    async with serving(answer) as stub:
        error = await failure(stub)
    assert error.code is grpc.StatusCode.INTERNAL
    assert re.fullmatch("internal error, request_id=[0-9a-f]{32}", error.message)


async def test_a_call_has_a_line_where_somebody_wants_to_see_each(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def answer() -> pb.GetModelResponse:
        return pb.GetModelResponse()

    async with serving(answer) as stub:
        await stub.GetModel(pb.GetModelRequest())
        assert not [each for each in caplog.records if each.message.startswith("answered")]
        with caplog.at_level(logging.DEBUG, "longtail.runtime.guard"):
            await stub.GetModel(pb.GetModelRequest())
    [line] = [each.message for each in caplog.records if each.message.startswith("answered")]
    assert re.match(r"answered method=EmbeddingService/GetModel code=OK seconds=\d", line)


@pytest.mark.parametrize(("over", "code"), [(0, "OK"), (1, "RESOURCE_EXHAUSTED")])
async def test_an_answer_that_no_client_would_take_is_not_sent(over: int, code: str) -> None:
    answer = pb.GetModelResponse(model=pb.Model(model_id="m" * (MAX_MESSAGE_BYTES - 100)))
    answer.model.device = "d" * (MAX_MESSAGE_BYTES - answer.ByteSize() - 2 + over)
    assert answer.ByteSize() == MAX_MESSAGE_BYTES + over

    async def large() -> pb.GetModelResponse:
        return answer

    options = [("grpc.max_receive_message_length", MAX_MESSAGE_BYTES)]
    async with serving(large, options=options) as stub:
        if code == "OK":
            assert await stub.GetModel(pb.GetModelRequest(), timeout=10) == answer
            return
        error = await failure(stub)
    assert (error.code.name, error.reason, error.retry_after) == (code, "ANSWER_TOO_LARGE", None)


async def test_too_many_in_flight_are_refused_at_once_and_none_later() -> None:
    release, full, entered = asyncio.Event(), asyncio.Event(), list[None]()

    async def answer() -> pb.GetModelResponse:
        entered.append(None)
        if len(entered) == 2:
            full.set()
        await release.wait()
        return pb.GetModelResponse()

    async with serving(answer, max_in_flight=2) as stub:
        held = [asyncio.ensure_future(stub.GetModel(pb.GetModelRequest())) for _ in range(2)]
        await full.wait()
        refused = await failure(stub)
        assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert refused.retry_after is not None
        release.set()
        await asyncio.gather(*held)
        await stub.GetModel(pb.GetModelRequest(), timeout=10)


@pytest.mark.parametrize(("limit", "given"), [(5.0, None), (10.0, 5.0)])
async def test_each_rpc_has_the_shorter_of_its_deadline_and_ours(
    limit: float, given: float | None
) -> None:
    left: list[float] = []

    async def answer() -> pb.GetModelResponse:
        left.append(remaining_seconds())
        return pb.GetModelResponse()

    async with serving(answer, unary_seconds=limit) as stub:
        await stub.GetModel(pb.GetModelRequest(), timeout=given)
    # A deadline on the wire is rounded up by some milliseconds.
    assert 0 < left[0] <= (limit if given is None else given) + 0.5


async def test_work_past_our_own_limit_is_ended() -> None:
    async def answer() -> pb.GetModelResponse:
        await asyncio.Event().wait()
        raise AssertionError

    async with serving(answer, unary_seconds=0.05) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetModel(pb.GetModelRequest())
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert error_from_rpc(caught.value).reason == "DEADLINE_EXCEEDED"
