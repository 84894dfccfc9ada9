"""Who is let in, over real gRPC: what a caller without a key, or with too small a role, learns."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2
from longtail.client import LongtailError
from longtail.client.calls.errors import error_from_rpc
from longtail.runtime import keys as keys_module
from longtail.runtime.identity import Allowance, Limits, Role, current_caller
from longtail.runtime.interceptor import ServiceInterceptor
from longtail.runtime.keys import Key, KeyRing, hashed, write_keys
from longtail.runtime.lifecycle import HealthBoard, new_server
from longtail.runtime.reflection import enable_reflection
from longtail.v1 import embedding_service_pb2 as pb
from longtail.v1 import embedding_service_pb2_grpc as pb_grpc

CREATED = "2026-11-28T10:00:00+00:00"
EMBED, GET_MODEL = (f"/longtail.v1.EmbeddingService/{name}" for name in ("Embed", "GetModel"))
REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
CHECK, WATCH = "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"
ROLES = {EMBED: Role.WRITE, GET_MODEL: Role.READ, REFLECTION: Role.READ}
EMBED_REQUEST = pb.EmbedRequest(texts=["a", "b", "c"]).SerializeToString()


class FakeService(pb_grpc.EmbeddingServiceServicer):
    """Says who calls; Embed waits for `go`."""

    def __init__(self) -> None:
        self.go, self.begun = asyncio.Event(), asyncio.Event()

    async def GetModel(self, request: object, context: object) -> pb.GetModelResponse:  # noqa: N802
        caller = current_caller()
        return pb.GetModelResponse(model=pb.Model(model_id=f"{caller.name} {caller.role.name}"))

    async def Embed(self, request: object, context: object) -> pb.EmbedResponse:  # noqa: N802
        self.begun.set()
        await self.go.wait()
        return pb.EmbedResponse()


@asynccontextmanager
async def serving(
    path: Path, service: FakeService, keys: Sequence[Key] | None, max_in_flight: int = 10
) -> AsyncIterator[grpc.aio.Channel]:
    """Serve to a channel that sends and gets bytes."""
    if keys is not None:
        write_keys(path, keys)
    guard = ServiceInterceptor(
        max_in_flight=max_in_flight,
        unary_seconds=10.0,
        stream_seconds=10.0,
        keys=KeyRing(path, ROLES),
    )
    board = HealthBoard(["longtail.v1.EmbeddingService"])
    server = new_server([guard], board)
    pb_grpc.add_EmbeddingServiceServicer_to_server(service, server)
    enable_reflection(server, ["longtail.v1.EmbeddingService"])
    await board.set_all(serving=True)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel
    finally:
        await server.stop(0)


def key(name: str, role: Role, **limits: int) -> Key:
    return Key(name, role, hashed(name), CREATED, Limits(**limits))


async def ask(
    channel: grpc.aio.Channel, method: str, secret: str | None = None, content: bytes = b""
) -> bytes:
    call: Any = channel.unary_unary(method)
    metadata = () if secret is None else (("authorization", f"Bearer {secret}"),)
    answer: bytes = await call(content, metadata=metadata, timeout=10)
    return answer


async def failure(
    channel: grpc.aio.Channel, method: str, secret: str | None = None, content: bytes = b""
) -> LongtailError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ask(channel, method, secret, content)
    return error_from_rpc(caught.value)


async def who(channel: grpc.aio.Channel, secret: str | None = None) -> str:
    answer = pb.GetModelResponse.FromString(await ask(channel, GET_MODEL, secret))
    return answer.model.model_id


async def test_without_a_file_of_keys_a_caller_is_an_address_and_may_do_all(tmp_path: Path) -> None:
    async with serving(tmp_path / "keys.json", FakeService(), None) as channel:
        assert await who(channel) == "ipv4:127.0.0.1 ADMIN"
        assert await who(channel, "anything") == "ipv4:127.0.0.1 ADMIN"


async def test_a_caller_has_the_name_and_role_of_the_key(tmp_path: Path) -> None:
    keys = [key("shop", Role.READ), key("ops", Role.ADMIN)]
    async with serving(tmp_path / "keys.json", FakeService(), keys) as channel:
        assert [await who(channel, name) for name in ("shop", "ops")] == ["shop READ", "ops ADMIN"]
        error = await failure(channel, EMBED, "shop")
        assert (error.code.name, error.reason) == ("PERMISSION_DENIED", "PERMISSION_DENIED")
        # Who has a key may know what there is.
        error = await failure(channel, "/longtail.v1.EmbeddingService/Guess", "shop")
        assert error.code is grpc.StatusCode.UNIMPLEMENTED


async def test_without_a_key_nothing_is_told_but_health(tmp_path: Path) -> None:
    methods = [EMBED, GET_MODEL, REFLECTION, "/longtail.v1.EmbeddingService/Guess", "/a.B/C", "/x"]
    keys = [key("shop", Role.READ)]
    async with serving(tmp_path / "keys.json", FakeService(), keys) as channel:
        # What is known by then is not told either.
        await who(channel, "shop")
        refusals = {
            str(vars(await failure(channel, method, secret, content)))
            for method in methods
            for secret in (None, "", "wrong", hashed("shop"))
            for content in (b"", b"\xff\xff\xff\xff")
        }
        assert len(refusals) == 1
        assert "UNAUTHENTICATED" in refusals.pop()
        assert await ask(channel, CHECK) == b"\x08\x01"
        start: Any = channel.unary_stream(WATCH)
        watch = start(b"")
        assert await watch.read() == b"\x08\x01"
        watch.cancel()


async def test_a_stream_without_a_key_is_refused_before_it_sends(tmp_path: Path) -> None:
    async with serving(tmp_path / "keys.json", FakeService(), []) as channel:
        call: Any = channel.stream_stream(REFLECTION)(timeout=10)
        assert await call.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_key_has_its_limits_and_others_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # All of it happens within one second, whatever the machine does meanwhile.
    monkeypatch.setattr(keys_module, "Allowance", partial(Allowance, clock=lambda: 100.0))
    service = FakeService()
    keys = [key("one", Role.WRITE, concurrency=1), key("few", Role.WRITE, rate=2, batch=2)]
    keys.append(key("free", Role.WRITE))
    async with serving(tmp_path / "keys.json", service, keys) as channel:
        held = asyncio.create_task(ask(channel, EMBED, "one"))
        await service.begun.wait()
        error = await failure(channel, GET_MODEL, "one")
        assert (error.code.name, error.retry_after) == ("RESOURCE_EXHAUSTED", 0.1)
        await who(channel, "free")
        service.go.set()
        await held
        await who(channel, "one")

        error = await failure(channel, EMBED, "few", EMBED_REQUEST)
        assert [each.field for each in error.violations] == ["texts"]
        await ask(channel, EMBED, "free", EMBED_REQUEST)
        await who(channel, "few")
        error = await failure(channel, GET_MODEL, "few")
        assert error.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert error.retry_after is not None
        assert 0 < error.retry_after <= 1


async def test_health_answers_when_there_is_too_much_to_do(tmp_path: Path) -> None:
    service = FakeService()
    async with serving(tmp_path / "keys.json", service, None, max_in_flight=1) as channel:
        held = asyncio.create_task(ask(channel, EMBED))
        await service.begun.wait()
        assert (await failure(channel, GET_MODEL)).code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await ask(channel, CHECK) == b"\x08\x01"
        service.go.set()
        await held


@pytest.mark.parametrize("content", [b"\xff\xff\xff\xff", b"\x0a\x7fabc", b"\x0a\x03\xed\xa0\x80"])
async def test_what_cannot_be_parsed_is_the_callers_mistake_for_health_and_reflection_too(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(tmp_path / "keys.json", FakeService(), None) as channel:
        codes = [(await failure(channel, CHECK, content=content)).code]
        watch: Any = channel.unary_stream(WATCH)
        codes.append(await watch(content, timeout=10).code())
        reflect: Any = channel.stream_stream(REFLECTION)
        codes.append(await reflect(iter([content]), timeout=10).code())
    assert codes == [grpc.StatusCode.INVALID_ARGUMENT] * 3
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_service_that_nobody_knows_is_not_found(tmp_path: Path) -> None:
    request = health_pb2.HealthCheckRequest(service="no such").SerializeToString()
    async with serving(tmp_path / "keys.json", FakeService(), None) as channel:
        assert (await failure(channel, CHECK, content=request)).code is grpc.StatusCode.NOT_FOUND
