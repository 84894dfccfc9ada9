"""Texts to vectors over real sockets, with workers that do what the test says."""

import asyncio
from collections.abc import Iterator

import numpy as np
import pytest
from longtail.runtime.deadline import within
from longtail.runtime.errors import (
    DeadlineExceeded,
    InferenceFailed,
    InvalidArgument,
    Overloaded,
    ServiceError,
    Violation,
)
from longtail.server.encoder import encoder as encoder_module
from longtail.v1 import embedding_service_pb2 as pb

from tests.unit.server.fake_worker import TINY, FakeWorker, answered_by, connected, rows

ITEM, QUERY = pb.ROLE_ITEM, pb.ROLE_QUERY
INTERACTIVE, BULK = pb.LANE_INTERACTIVE, pb.LANE_BULK


@pytest.fixture(autouse=True)
def deadline() -> Iterator[None]:
    with within(30):
        yield


async def test_the_worker_is_told_role_and_lane() -> None:
    async with connected(worker := FakeWorker(7)) as encoder:
        vectors = await rows(encoder, ["a", "b"], QUERY, BULK, TINY)
    assert vectors.tolist() == [[7, 0], [7, 1]]
    (call,) = worker.calls
    assert (list(call.texts), call.role, call.lane) == (["a", "b"], QUERY, BULK)


async def test_a_large_call_is_shared_and_keeps_its_order() -> None:
    async with connected(*(workers := [FakeWorker(n) for n in range(2)])) as encoder:
        vectors = await rows(encoder, [f"text {n}" for n in range(600)], ITEM, BULK, TINY)
    assert vectors[:, 1].tolist() == [*range(256), *range(256), *range(88)]
    sizes = sorted(len(call.texts) for worker in workers for call in worker.calls)
    assert sizes == [88, 256, 256]
    assert all(worker.calls for worker in workers)


async def test_no_call_is_larger_than_a_message_may_be() -> None:
    async with connected(worker := FakeWorker()) as encoder:
        vectors = await rows(encoder, ["\U00010000" * 24_000] * 200, ITEM, BULK, TINY)
    assert len(vectors) == 200
    assert sorted(len(call.texts) for call in worker.calls) == [75, 125]


async def test_a_large_call_does_not_fill_the_queue_of_a_worker() -> None:
    async with connected(worker := FakeWorker()) as encoder:
        worker.go.clear()
        call = asyncio.create_task(answered_by(encoder, 1000))
        while len(worker.calls) < 2:
            await worker.arrived.wait()
            worker.arrived.clear()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await worker.arrived.wait()
        worker.go.set()
        await call
    assert len(worker.calls) == 4


async def test_a_text_that_has_no_vector_fails_alone() -> None:
    async with connected(worker := FakeWorker()) as encoder:
        worker.failures = {
            "bad": InvalidArgument(Violation("texts[1]", "is blank")).status(),
            "worse": InferenceFailed("the device failed").status(),
        }
        good, bad, worse, last = await encoder.embed(
            ["good", "bad", "worse", "x"], ITEM, BULK, TINY
        )
    assert not isinstance(good, ServiceError)
    assert not isinstance(last, ServiceError)
    assert [good.tolist(), last.tolist()] == [[0, 0], [0, 3]]
    assert isinstance(bad, InvalidArgument)
    assert bad.violations == (Violation("text", "cannot be encoded: is blank"),)
    assert isinstance(worse, InferenceFailed)
    assert "the device failed" in str(worse)


@pytest.mark.parametrize(
    ("lane", "seconds", "error"),
    [(INTERACTIVE, 0.2, DeadlineExceeded), (BULK, 0.2, DeadlineExceeded), (BULK, 30, Overloaded)],
)
async def test_the_deadline_is_the_callers_and_bulk_calls_have_one_of_their_own(
    lane: pb.Lane, seconds: float, error: type[ServiceError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder_module, "BULK_SECONDS", 0.3)
    async with connected(worker := FakeWorker()) as encoder:
        worker.go.clear()
        with within(seconds), pytest.raises(error):
            await encoder.embed(["a"], ITEM, lane, TINY)
        worker.go.set()


async def test_vectors_are_the_callers_to_change() -> None:
    async with connected(FakeWorker()) as encoder:
        vectors = await rows(encoder, ["a"], ITEM, INTERACTIVE, TINY)
    vectors += 1
    assert vectors.dtype == np.float32
