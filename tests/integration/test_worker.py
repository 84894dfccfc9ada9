"""A real worker process with the real encoder, over a real socket."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2
from grpc_status import rpc_status
from longtail.v1 import embedding_service_pb2 as pb
from longtail.v1.embedding_service_pb2_grpc import EmbeddingServiceStub
from longtail.worker.artefact import load
from longtail.worker.vectors import Vectors

from tests import processes

pytestmark = pytest.mark.model

METRICS = "LONGTAIL_WORKER_METRICS_ADDRESS"
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


def long_texts(number: int, salt: str = "") -> list[str]:
    """Return texts of more tokens than are read, no two of them the same."""
    return [f"{salt} {i} " + "word " * 300 for i in range(number)]


def embed(
    stub: EmbeddingServiceStub, texts: list[str], role: pb.Role = pb.ROLE_ITEM
) -> pb.EmbedResponse:
    reply: pb.EmbedResponse = stub.Embed(pb.EmbedRequest(texts=texts, role=role), timeout=60)
    return reply


def vectors(reply: pb.EmbedResponse) -> Vectors:
    return np.frombuffer(reply.vectors, "<f4").reshape(len(reply.results), reply.dimension)


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


async def test_callers_who_share_texts_get_their_own_vectors(
    stub: EmbeddingServiceStub, worker_address: str
) -> None:
    calls = [[f"{text} {i % 5}" for text in TEXTS[: 1 + i % 4]] for i in range(40)]
    async with grpc.aio.insecure_channel(worker_address) as channel:
        concurrent = EmbeddingServiceStub(channel)
        replies = await asyncio.gather(
            *(
                concurrent.Embed(pb.EmbedRequest(texts=texts, role=pb.ROLE_ITEM), timeout=60)
                for texts in calls
            )
        )
    for texts, reply in zip(calls, replies, strict=True):
        # This encoder has no prompts, so a query has the same vector, but is computed for itself.
        expected = vectors(embed(stub, texts, pb.ROLE_QUERY))
        assert np.sum(vectors(reply) * expected, axis=1).min() > 1 - 1e-6


def test_the_largest_call_is_answered(stub: EmbeddingServiceStub) -> None:
    reply = embed(stub, [f"text number {i}" for i in range(256)])
    assert len(reply.results) == 256


def test_a_cut_text_is_said_to_be_cut(stub: EmbeddingServiceStub) -> None:
    short, longest = embed(stub, ["short", "word " * 4_800]).results
    assert (short.token_count, short.truncated) == (3, False)
    assert (longest.token_count, longest.truncated) == (256, True)


def test_time_is_accounted_for_and_known_texts_take_none(stub: EmbeddingServiceStub) -> None:
    texts = [f"{text} and its time" for text in TEXTS]
    first = embed(stub, texts)
    assert first.timings.tokenize.ToNanoseconds() > 0
    assert first.timings.inference.ToNanoseconds() > 0
    again = embed(stub, texts)
    assert again.vectors == first.vectors
    assert again.timings == pb.EmbedTimings()


def test_a_text_at_the_limit_is_taken(stub: EmbeddingServiceStub) -> None:
    assert len(embed(stub, ["b" * 24_000]).results) == 1


def test_a_deadline_that_is_not_kept_is_said_to_have_passed_or_to_be_too_soon(
    stub: EmbeddingServiceStub,
) -> None:
    request = pb.EmbedRequest(texts=long_texts(200), role=pb.ROLE_ITEM)
    with pytest.raises(grpc.RpcError) as caught:
        stub.Embed(request, timeout=0.2)
    # Who knows by now how long such texts take refuses them at once.
    told = grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED
    assert caught.value.code() in told
    # The abandoned texts do not stand in the way of the next caller.
    assert len(embed(stub, ["short"]).results) == 1


def test_the_model_is_described(stub: EmbeddingServiceStub, artefact: Path) -> None:
    manifest = load(artefact).manifest
    model = stub.GetModel(pb.GetModelRequest(), timeout=60).model
    assert model.model_id == manifest.model_id == embed(stub, ["a"]).model_id
    assert (model.dimension, model.max_tokens) == (384, 256)
    assert (model.device, model.execution_provider) in (
        ("cpu", "CPUExecutionProvider"),
        ("cuda:0", "CUDAExecutionProvider"),
    )
    assert model.precision == manifest.precision
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
        requests = [
            pb.EmbedRequest(texts=long_texts(32, salt), role=pb.ROLE_ITEM) for salt in "abcd"
        ]
        calls = [stub.Embed.future(request, timeout=60) for request in requests]
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
    metrics = processes.free_address()
    settings = {METRICS: metrics, "LONGTAIL_WORKER_DRAIN_SECONDS": "100"}
    with (
        processes.worker(tmp_path, artefact, **settings) as worker,
        grpc.insecure_channel(worker.address) as channel,
    ):
        stub = EmbeddingServiceStub(channel)
        large = pb.EmbedRequest(texts=long_texts(128), role=pb.ROLE_ITEM)
        call = stub.Embed.future(large, timeout=100)
        _wait_for_work(worker, metrics)
        assert not call.done()
        assert worker.stop(signal.SIGTERM) == 0
        assert len(call.result().results) == 128


def test_a_drain_has_an_end(tmp_path: Path, artefact: Path) -> None:
    metrics = processes.free_address()
    settings = {METRICS: metrics, "LONGTAIL_WORKER_DRAIN_SECONDS": "0.1"}
    with (
        processes.worker(tmp_path, artefact, **settings) as worker,
        grpc.insecure_channel(worker.address) as channel,
    ):
        stub = EmbeddingServiceStub(channel)
        large = pb.EmbedRequest(texts=long_texts(256), role=pb.ROLE_ITEM)
        call = stub.Embed.future(large, timeout=60)
        _wait_for_work(worker, metrics)
        assert worker.stop(signal.SIGTERM) == 0
        assert call.code() is not grpc.StatusCode.OK


def _wait_for_work(worker: processes.Running, metrics: str) -> None:
    """Return when a call is being worked on."""

    def works() -> bool:
        with urlopen(f"http://{metrics}/metrics", timeout=30) as answer:
            return b"\nlongtail_rpc_in_flight 1.0" in answer.read()

    processes.wait_until(works, worker.log)
