"""A worker whose connection is open and that answers nothing: noticed, passed over, taken back."""

import asyncio
import time
from collections.abc import Iterator

import grpc
import pytest
from grpc_health.v1 import health, health_pb2
from longtail.runtime.deadline import within
from longtail.runtime.errors import Unavailable
from longtail.server.encoder import worker as workers
from longtail.server.encoder.encoder import Encoder

from tests.unit.server.fake_worker import TINY, FakeWorker, answered_by, connected

Context = grpc.aio.ServicerContext[health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(workers, "PULSE_SECONDS", 0.02)
    monkeypatch.setattr(workers, "STUCK_SECONDS", 0.2)
    with within(30):
        yield


class Stoppable(FakeWorker):
    """Answers nothing at all while `go` is not set."""

    def __init__(self, number: int = 0) -> None:
        super().__init__(number)
        go = self.go

        class Health(health.aio.HealthServicer):
            async def Check(  # noqa: N802
                self, request: health_pb2.HealthCheckRequest, context: Context
            ) -> health_pb2.HealthCheckResponse:
                await go.wait()
                return await super().Check(request, context)

        self._health = Health()


async def until(encoder: Encoder, usable: bool) -> None:
    async with asyncio.timeout(10):
        while encoder.usable(TINY) != usable:
            await encoder._group.changed()


async def test_a_stuck_worker_ends_the_calls_that_wait_for_it_and_gets_no_more() -> None:
    async with connected(stuck := Stoppable()) as encoder:
        stuck.go.clear()
        began = time.monotonic()
        with pytest.raises(Unavailable):
            await answered_by(encoder)
        # The call had thirty seconds.
        assert time.monotonic() - began < 10
        assert not encoder.usable(TINY)
        with pytest.raises(Unavailable):
            await answered_by(encoder)
        assert len(stuck.calls) == 1


async def test_a_worker_that_answers_again_is_used_again() -> None:
    async with connected(stuck := Stoppable()) as encoder:
        stuck.go.clear()
        await until(encoder, usable=False)
        stuck.go.set()
        await until(encoder, usable=True)
        assert await answered_by(encoder) == {0}


async def test_what_waited_for_a_stuck_worker_goes_to_another() -> None:
    async with connected(stuck := Stoppable(0), other := FakeWorker(1)) as encoder:
        stuck.go.clear()
        answered = [await answered_by(encoder) for _ in range(4)]
    assert answered == [{1}] * 4
    assert len(other.calls) == 4


async def test_a_caller_that_goes_is_no_sign_of_anything() -> None:
    async with connected(slow := FakeWorker()) as encoder:
        slow.go.clear()
        call = asyncio.create_task(answered_by(encoder))
        await asyncio.wait_for(slow.arrived.wait(), 10)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        slow.go.set()
        assert await answered_by(encoder) == {0}
