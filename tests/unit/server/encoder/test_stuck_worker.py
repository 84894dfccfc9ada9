"""A worker whose connection is open and that answers nothing: noticed, passed over, taken back."""

import asyncio
from collections.abc import Iterator

import grpc
import pytest
from grpc_health.v1 import health, health_pb2
from longtail.runtime.deadline import within
from longtail.runtime.errors import Unavailable
from longtail.server.encoder import worker as workers
from longtail.server.encoder.encoder import Encoder

from tests.processes import PATIENCE_SECONDS
from tests.unit.server.fake_worker import TINY, FakeWorker, answered_by, connected

Context = grpc.aio.ServicerContext[health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(workers, "PULSE_SECONDS", 0.02)
    # Long enough that who only stands still for a moment is not taken for stuck.
    monkeypatch.setattr(workers, "STUCK_SECONDS", PATIENCE_SECONDS)
    with within(100):
        yield


class Stoppable(FakeWorker):
    """Calls wait while `go` is not set, questions for its health while `well` is not."""

    def __init__(self, number: int = 0) -> None:
        super().__init__(number)
        self.well, self.checks = asyncio.Event(), 0
        self.well.set()
        worker = self

        class Health(health.aio.HealthServicer):
            async def Check(  # noqa: N802
                self, request: health_pb2.HealthCheckRequest, context: Context
            ) -> health_pb2.HealthCheckResponse:
                worker.checks += 1
                await worker.well.wait()
                return await super().Check(request, context)

        self._health = Health()

    async def hang(self, encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
        """Answer nothing any more; return when the encoder knows."""
        self.go.clear()
        with monkeypatch.context() as patch:
            patch.setattr(workers, "STUCK_SECONDS", 0.5)
            async with asyncio.timeout(60):
                # Of the questions that are answered the first may have had longer.
                answered = self.checks + 2
                while self.checks < answered:  # noqa: ASYNC110 (the worker counts)
                    await asyncio.sleep(0.005)
                self.well.clear()
                while any(each.address == self.address for each in encoder._group.usable(TINY)):
                    await encoder._group.changed()


async def test_a_stuck_worker_ends_the_calls_that_wait_for_it_and_gets_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with connected(stuck := Stoppable()) as encoder:
        stuck.go.clear()
        waiting = asyncio.create_task(answered_by(encoder))
        await stuck.arrived.wait()
        await stuck.hang(encoder, monkeypatch)
        with pytest.raises(Unavailable):
            await waiting
        with pytest.raises(Unavailable):
            await answered_by(encoder)
        assert len(stuck.calls) == 1


async def test_a_worker_that_answers_again_is_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with connected(stuck := Stoppable()) as encoder:
        await stuck.hang(encoder, monkeypatch)
        stuck.go.set()
        stuck.well.set()
        async with asyncio.timeout(60):
            while not encoder.usable(TINY):
                await encoder._group.changed()
        assert await answered_by(encoder) == {0}


async def test_what_waited_for_a_stuck_worker_goes_to_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with connected(stuck := Stoppable(0), other := FakeWorker(1)) as encoder:
        stuck.go.clear()
        answers = [asyncio.create_task(answered_by(encoder)) for _ in range(2)]
        await stuck.arrived.wait()
        await stuck.hang(encoder, monkeypatch)
        assert [await answer for answer in answers] == [{1}] * 2
        assert await answered_by(encoder) == {1}
    assert (len(stuck.calls), len(other.calls)) == (1, 3)


async def test_a_caller_that_goes_is_no_sign_of_anything() -> None:
    async with connected(slow := FakeWorker()) as encoder:
        slow.go.clear()
        call = asyncio.create_task(answered_by(encoder))
        await asyncio.wait_for(slow.arrived.wait(), 60)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        slow.go.set()
        assert await answered_by(encoder) == {0}
