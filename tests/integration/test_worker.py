"""A real worker process with the real encoder, over a real socket."""

import asyncio
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2
from grpc_status import rpc_status
from longtail.v1 import embedding_service_pb2 as pb
from longtail.v1.embedding_service_pb2_grpc import EmbeddingServiceStub

from tests import processes
from worker.artefact import load
from worker.vectors import Vectors

pytestmark = pytest.mark.model

TEXTS = [
    "a quiet film about two brothers",
    "JSON parser",
    "Small shops sell what big shops do not keep, and people who know them come back. " * 3,
    "東京の静かな映画",
    "فيلم هادئ عن أخوين",
    "a balloon 🎈 and a NUL \0 in one text",
    "!",
]


@pytest.fixture
def stub(worker_address: str) -> Iterator[EmbeddingServiceStub]:
    with grpc.insecure_channel(worker_address) as channel:
        yield EmbeddingServiceStub(channel)


def embed(
    stub: EmbeddingServiceStub, texts: list[str], role: pb.Role = pb.ROLE_ITEM
) -> pb.EmbedResponse:
    reply: pb.EmbedResponse = stub.Embed(pb.EmbedRequest(texts=texts, role=role), timeout=60)
    return reply


def vectors(reply: pb.EmbedResponse) -> Vectors:
    return np.frombuffer(reply.vectors, "<f4").reshape(len(reply.results), reply.dimension)


def refused(stub: EmbeddingServiceStub, request: pb.EmbedRequest) -> list[str]:
    """Return the fields that the worker finds wrong with `request`."""
    with pytest.raises(grpc.RpcError) as caught:
        stub.Embed(request, timeout=60)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    bad = error_details_pb2.BadRequest()
    status = rpc_status.from_call(cast(grpc.Call, caught.value))
    assert status is not None
    assert any(detail.Unpack(bad) for detail in status.details)
    return [violation.field for violation in bad.field_violations]


def test_golden_texts_have_their_vectors(stub: EmbeddingServiceStub, artefact: Path) -> None:
    for golden in load(artefact).manifest.golden:
        role = pb.ROLE_QUERY if golden.role == "query" else pb.ROLE_ITEM
        (vector,) = vectors(embed(stub, [golden.text], role))
        assert vector @ golden.vector > 0.999


def test_every_text_of_the_world_has_a_unit_vector(stub: EmbeddingServiceStub) -> None:
    reply = embed(stub, TEXTS)
    assert (len(reply.results), reply.dimension) == (len(TEXTS), 384)
    np.testing.assert_allclose(np.linalg.norm(vectors(reply), axis=1), 1, atol=1e-5)


def test_near_texts_are_nearer_than_far_ones(stub: EmbeddingServiceStub) -> None:
    film, movie, parser = vectors(
        embed(stub, ["a film about two brothers", "a movie on siblings", "a parser for JSON"])
    )
    assert film @ movie > film @ parser + 0.3


def test_a_text_has_one_vector_alone_and_in_any_batch(stub: EmbeddingServiceStub) -> None:
    together = vectors(embed(stub, [*TEXTS, "padding " * 200]))[: len(TEXTS)]
    alone = np.concatenate([vectors(embed(stub, [text])) for text in TEXTS])
    assert np.sum(alone * together, axis=1).min() > 1 - 1e-6


async def test_concurrent_callers_get_their_own_vectors(
    stub: EmbeddingServiceStub, worker_address: str
) -> None:
    calls = [[f"{text} {i}" for text in TEXTS[: 1 + i % 4]] for i in range(40)]
    async with grpc.aio.insecure_channel(worker_address) as channel:
        concurrent = EmbeddingServiceStub(channel)
        replies = await asyncio.gather(
            *(
                concurrent.Embed(pb.EmbedRequest(texts=texts, role=pb.ROLE_ITEM), timeout=60)
                for texts in calls
            )
        )
    for texts, reply in zip(calls[::7], replies[::7], strict=True):
        expected = vectors(embed(stub, texts))
        assert np.sum(vectors(reply) * expected, axis=1).min() > 1 - 1e-6


def test_the_largest_call_is_answered(stub: EmbeddingServiceStub) -> None:
    reply = embed(stub, [f"text number {i}" for i in range(256)])
    assert len(reply.results) == 256


def test_a_cut_text_is_said_to_be_cut(stub: EmbeddingServiceStub) -> None:
    short, longest = embed(stub, ["short", "word " * 4_800]).results
    assert (short.token_count, short.truncated) == (3, False)
    assert (longest.token_count, longest.truncated) == (256, True)


def test_time_is_accounted_for(stub: EmbeddingServiceStub) -> None:
    timings = embed(stub, TEXTS).timings
    assert timings.tokenize.ToNanoseconds() > 0
    assert timings.inference.ToNanoseconds() > 0


@pytest.mark.parametrize(
    ("texts", "role", "fields"),
    [
        (["a"], pb.ROLE_UNSPECIFIED, ["role"]),
        (["a"], 7, ["role"]),
        ([], pb.ROLE_ITEM, ["texts"]),
        (["a"] * 257, pb.ROLE_ITEM, ["texts"]),
        (["a", "", "b", " \n\t\u3000"], pb.ROLE_ITEM, ["texts[1]", "texts[3]"]),
        (["a", "b" * 24_001], pb.ROLE_ITEM, ["texts[1]"]),
        ([""], pb.ROLE_UNSPECIFIED, ["role", "texts[0]"]),
    ],
)
def test_bad_input_is_refused_by_field(
    stub: EmbeddingServiceStub, texts: list[str], role: pb.Role, fields: list[str]
) -> None:
    assert refused(stub, pb.EmbedRequest(texts=texts, role=role)) == fields


def test_a_text_at_the_limit_is_taken(stub: EmbeddingServiceStub) -> None:
    assert len(embed(stub, ["b" * 24_000]).results) == 1


def test_a_passed_deadline_is_said_to_have_passed(stub: EmbeddingServiceStub) -> None:
    request = pb.EmbedRequest(texts=["word " * 4_000] * 100, role=pb.ROLE_ITEM)
    with pytest.raises(grpc.RpcError) as caught:
        stub.Embed(request, timeout=0.2)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    # The abandoned texts do not stand in the way of the next caller.
    assert len(embed(stub, ["short"]).results) == 1


def test_the_model_is_described(stub: EmbeddingServiceStub, artefact: Path) -> None:
    manifest = load(artefact).manifest
    model = stub.GetModel(pb.GetModelRequest(), timeout=10).model
    assert model.model_id == manifest.model_id == embed(stub, ["a"]).model_id
    assert (model.dimension, model.max_tokens) == (384, 256)
    assert (model.device, model.execution_provider) in (
        ("cpu", "CPUExecutionProvider"),
        ("cuda:0", "CUDAExecutionProvider"),
    )
    assert model.precision == "nbits8"
    assert (model.limits.max_texts, model.limits.max_text_characters) == (256, 24_000)
    assert model.limits.max_queued_tokens > 0


def test_health_is_per_service(worker_address: str) -> None:
    for service in ("", "longtail.v1.EmbeddingService"):
        status = processes.health(worker_address, service)
        assert status == health_pb2.HealthCheckResponse.SERVING
    with pytest.raises(grpc.RpcError) as caught:
        processes.health(worker_address, "nobody")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_a_full_queue_refuses_with_a_time_to_come_back(tmp_path: Path, artefact: Path) -> None:
    with (
        processes.worker(
            tmp_path, artefact, LONGTAIL_WORKER_MAX_QUEUED_TOKENS="100", LONGTAIL_WORKER_SLOTS="1"
        ) as worker,
        grpc.insecure_channel(worker.address) as channel,
    ):
        stub = EmbeddingServiceStub(channel)
        large = pb.EmbedRequest(texts=["word " * 300] * 32, role=pb.ROLE_ITEM)
        calls = [stub.Embed.future(large, timeout=60) for _ in range(4)]
        codes = [call.code() for call in calls]
        refusal = next(call for call in calls if call.code() is not grpc.StatusCode.OK)
        assert codes.count(grpc.StatusCode.OK) >= 1
        status = rpc_status.from_call(refusal)
        assert status is not None
        assert refusal.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        retry = error_details_pb2.RetryInfo()
        assert any(detail.Unpack(retry) for detail in status.details)
        assert retry.retry_delay.ToNanoseconds() > 0
        # It is a state, not a verdict.
        assert len(embed(stub, ["short"]).results) == 1


def test_a_call_in_flight_is_answered_before_the_worker_stops(
    tmp_path: Path, artefact: Path
) -> None:
    with (
        processes.worker(tmp_path, artefact) as worker,
        grpc.insecure_channel(worker.address) as channel,
    ):
        stub = EmbeddingServiceStub(channel)
        large = pb.EmbedRequest(texts=["word " * 300] * 64, role=pb.ROLE_ITEM)
        call = stub.Embed.future(large, timeout=60)
        _wait_for_work(worker)
        assert not call.done()
        assert worker.stop(signal.SIGTERM) == 0
        assert len(call.result().results) == 64


def test_a_drain_has_an_end(tmp_path: Path, artefact: Path) -> None:
    with (
        processes.worker(tmp_path, artefact, LONGTAIL_WORKER_DRAIN_SECONDS="0.1") as worker,
        grpc.insecure_channel(worker.address) as channel,
    ):
        stub = EmbeddingServiceStub(channel)
        large = pb.EmbedRequest(texts=["word " * 300] * 256, role=pb.ROLE_ITEM)
        call = stub.Embed.future(large, timeout=60)
        _wait_for_work(worker)
        assert worker.stop(signal.SIGTERM) == 0
        assert call.code() is not grpc.StatusCode.OK


def _wait_for_work(worker: processes.Running) -> None:
    """Return when the worker is computing what has arrived."""
    with grpc.insecure_channel(worker.address) as channel:
        EmbeddingServiceStub(channel).GetModel(pb.GetModelRequest(), timeout=10)
    time.sleep(0.3)
