"""Which worker a call goes to, and what becomes of it when that one fails."""

import asyncio
from collections.abc import Iterator

import pytest
from longtail.runtime.deadline import within
from longtail.runtime.errors import DeadlineExceeded, Overloaded, Unavailable
from longtail.server.encoder import encoder as encoder_module
from longtail.v1 import embedding_service_pb2 as pb

from tests.unit.server.fake_worker import TINY, FakeWorker, answered_by, connected

BULK = pb.LANE_BULK


@pytest.fixture(autouse=True)
def deadline() -> Iterator[None]:
    with within(30):
        yield


async def test_idle_workers_take_turns() -> None:
    async with connected(*(workers := [FakeWorker(n) for n in range(3)])) as encoder:
        for _ in range(9):
            await answered_by(encoder)
    assert [len(worker.calls) for worker in workers] == [3, 3, 3]


async def test_calls_go_to_the_worker_with_fewest_texts_outstanding() -> None:
    async with connected(busy := FakeWorker(0), free := FakeWorker(1)) as encoder:
        busy.go.clear()
        free.go.clear()
        first = asyncio.create_task(answered_by(encoder, 200))
        await asyncio.wait(
            [asyncio.create_task(w.arrived.wait()) for w in (busy, free)],
            return_when=asyncio.FIRST_COMPLETED,
        )
        if free.calls:
            busy, free = free, busy
        free.go.set()
        small = [await answered_by(encoder, 10) for _ in range(4)]
        assert small == [{free.number}] * 4
        busy.go.set()
        assert await first == {busy.number}


async def test_a_call_that_meets_a_worker_that_goes_away_is_made_again_on_another() -> None:
    async with connected(gone := FakeWorker(0), other := FakeWorker(1)) as encoder:
        gone.go.clear()
        calls = [asyncio.create_task(answered_by(encoder)) for _ in range(2)]
        await asyncio.gather(gone.arrived.wait(), other.arrived.wait())
        await gone.stop()
        assert [await call for call in calls] == [{1}, {1}]
    assert len(other.calls) == 2


async def test_a_call_is_made_again_only_once() -> None:
    async with connected(*(workers := [FakeWorker(n) for n in range(3)])) as encoder:
        for worker in workers:
            worker.failure = Unavailable("stopping")
        with pytest.raises(Unavailable):
            await answered_by(encoder)
    assert sum(len(worker.calls) for worker in workers) == 2


async def test_what_one_worker_is_too_busy_for_another_takes() -> None:
    async with connected(full := FakeWorker(0), other := FakeWorker(1)) as encoder:
        full.failure = Overloaded("full", retry_seconds=60)
        assert [await answered_by(encoder) for _ in range(4)] == [{1}] * 4
    # Asked once, it is left alone for as long as it said.
    assert len(full.calls) <= 1
    assert len(other.calls) == 4


async def test_a_worker_that_is_full_for_bulk_work_is_not_for_the_other_lane() -> None:
    async with connected(full := FakeWorker(0), FakeWorker(1)) as encoder:
        full.failure = Overloaded("full", retry_seconds=60)
        for _ in range(2):
            await answered_by(encoder, lane=BULK)
        full.failure = None
        assert {frozenset(await answered_by(encoder)) for _ in range(2)} == {
            frozenset({0}),
            frozenset({1}),
        }


async def test_when_all_are_too_busy_the_caller_is_told_when_the_first_is_not() -> None:
    async with connected(one := FakeWorker(0), two := FakeWorker(1)) as encoder:
        one.failure = Overloaded("full", retry_seconds=7)
        two.failure = Overloaded("full", retry_seconds=3)
        with pytest.raises(Overloaded) as caught:
            await answered_by(encoder)
        assert caught.value.retry_seconds == 3
        # They are asked all the same: nobody else is there.
        one.failure = two.failure = None
        assert await answered_by(encoder)


async def test_a_call_to_a_worker_that_hangs_leaves_time_for_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(encoder_module, "SHARE", 0.1)
    async with connected(hung := FakeWorker(0), other := FakeWorker(1)) as encoder:
        hung.go.clear()
        with within(20):
            assert [await answered_by(encoder) for _ in range(2)] == [{1}] * 2
        # What did not answer for so long is left alone while there is another.
        assert len(hung.calls) == 1
        assert [await answered_by(encoder) for _ in range(4)] == [{1}] * 4
        assert (len(hung.calls), len(other.calls)) == (1, 6)


async def test_the_only_worker_has_all_the_time_there_is() -> None:
    async with connected(slow := FakeWorker(0)) as encoder:
        slow.go.clear()
        with within(0.2), pytest.raises(DeadlineExceeded):
            await answered_by(encoder)
        slow.go.set()
        assert await answered_by(encoder) == {0}


async def test_who_had_hardly_any_time_says_nothing_about_a_worker() -> None:
    async with connected(*(workers := [FakeWorker(n) for n in range(2)])) as encoder:
        for worker in workers:
            worker.go.clear()
        with within(0.05), pytest.raises(DeadlineExceeded):
            await answered_by(encoder)
        assert not any(each.avoided(pb.LANE_INTERACTIVE) for each in encoder._group.usable(TINY))
