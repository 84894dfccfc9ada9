"""Workers that come, go, and have one encoder or another."""

import asyncio
import logging
from collections.abc import Iterator

import pytest
from longtail.runtime.deadline import within
from longtail.runtime.errors import Unavailable
from longtail.server.encoder import encoder as encoder_module
from longtail.server.encoder import group as worker_group
from longtail.server.encoder.encoder import Encoder
from longtail.server.encoder.worker import Worker
from longtail.server.store.records import EncoderBinding
from longtail.v1 import embedding_service_pb2 as pb

from tests import processes
from tests.unit.server.fake_worker import TINY, FakeWorker, answered_by, connected, known, rows

OTHER = EncoderBinding("other@1", 2)


@pytest.fixture(autouse=True)
def deadline() -> Iterator[None]:
    with within(30):
        yield


async def test_the_encoder_serves_while_one_worker_does() -> None:
    async with connected(one := FakeWorker(0), two := FakeWorker(1)) as encoder:
        assert await encoder.wait_for_change(False, lambda: TINY)
        await one.serve(False)
        for _ in range(2):
            assert await answered_by(encoder) in ({0}, {1})
        await two.stop()
        assert not await encoder.wait_for_change(True, lambda: TINY)
        with pytest.raises(Unavailable):
            await answered_by(encoder)
        await one.serve(True)
        assert await encoder.wait_for_change(False, lambda: TINY)
        assert await answered_by(encoder) == {0}


async def test_of_workers_that_differ_the_one_that_is_wanted_counts() -> None:
    async with connected(FakeWorker(0, "other@1"), FakeWorker(1)) as encoder:
        assert await encoder.describe(60, TINY) == TINY
        assert await encoder.describe(60, OTHER) == OTHER
        assert await encoder.describe(60) == OTHER
        # All have answered, and none has it.
        assert await encoder.describe(60, EncoderBinding("third@1", 2)) == OTHER


async def test_while_one_that_may_have_the_encoder_is_away_it_is_waited_for() -> None:
    absent = processes.free_address()
    worker = await FakeWorker(0, "other@1").start()
    async with Encoder(f"{absent},{worker.address}") as encoder:
        await known(encoder, 1)
        with pytest.raises(Unavailable):
            await encoder.describe(0.1, TINY)
        assert await encoder.describe(60) == OTHER
        late = FakeWorker(1)
        late.address = absent
        await late.start()
        assert await encoder.describe(60, TINY) == TINY
        await late.stop()
    await worker.stop()


async def test_workers_that_a_name_gains_are_used_and_those_it_loses_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker_group, "RESOLVE_SECONDS", 0.01)
    one, two = await FakeWorker(1).start(), await FakeWorker(2).start()
    behind, failed = [one.address], asyncio.Semaphore(0)

    async def resolve(name: str) -> list[str]:
        assert name == "workers:50052"
        if not behind:
            failed.release()
            raise OSError("the name is not known")
        return list(behind)

    async with Encoder("dns:///workers:50052", resolve) as encoder:
        await known(encoder, 1)
        assert await answered_by(encoder) == {1}
        behind.append(two.address)
        await known(encoder, 2)
        both = [await answered_by(encoder) for _ in range(2)]
        assert sorted(both, key=min) == [{1}, {2}]
        behind.clear()
        # While the name cannot be resolved, the workers stay as they are.
        for _ in range(2):
            await failed.acquire()
        assert len(encoder._group.models()) == 2
        behind.append(two.address)
        while len(encoder._group.models()) == 2:
            await encoder._group.changed()
        assert [await answered_by(encoder) for _ in range(2)] == [{2}, {2}]
    await one.stop()
    await two.stop()


async def test_what_ends_the_following_of_a_worker_is_not_kept_quiet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def broken(self: Worker) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Worker, "follow", broken)
    async with Encoder("127.0.0.1:1") as encoder:
        with pytest.raises(ZeroDivisionError):
            await encoder.wait_for_change(False, lambda: TINY)


@pytest.mark.parametrize("stranger", [FakeWorker(9, "other@1"), FakeWorker(9, "tiny@1", 3)])
async def test_a_worker_with_another_encoder_than_was_asked_for_is_not_used(
    stranger: FakeWorker,
) -> None:
    async with connected(stranger, FakeWorker(1)) as encoder:
        for _ in range(4):
            assert await answered_by(encoder) == {1}
    assert not stranger.calls


async def test_workers_of_two_encoders_serve_beside_each_other() -> None:
    wide = EncoderBinding("wide@1", 3)
    async with connected(FakeWorker(1), FakeWorker(2, "wide@1", 3)) as encoder:
        assert encoder.models() == {TINY, wide}
        assert encoder.usable(TINY)
        assert encoder.usable(wide)
        assert not encoder.usable(OTHER)
        assert [await answered_by(encoder) for _ in range(2)] == [{1}, {1}]
        vectors = await rows(encoder, ["a"], pb.ROLE_ITEM, pb.LANE_BULK, wide)
        assert vectors.tolist() == [[2, 0, 0]]


async def test_without_a_worker_of_the_encoder_there_is_none() -> None:
    async with connected(FakeWorker(9, "other@1")) as encoder:
        with pytest.raises(Unavailable, match="no worker with the encoder tiny@1"):
            await answered_by(encoder)


async def test_a_worker_that_comes_back_with_another_encoder_is_not_used() -> None:
    first = FakeWorker(0)
    first.address = processes.free_address()
    async with connected(first) as encoder:
        assert await encoder.wait_for_change(False, lambda: TINY)
        await first.stop()
        assert not await encoder.wait_for_change(True, lambda: TINY)
        second = FakeWorker(0, "other@1")
        second.address = first.address
        await second.start()
        await known(encoder, 1)
        with pytest.raises(Unavailable):
            await answered_by(encoder)
        await second.stop()
    assert not second.calls


async def test_the_log_says_once_how_an_encoder_that_is_not_used_is_taken_in(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder_module, "RECHECK_SECONDS", 0.01)
    stranger = FakeWorker(9, "other@1")
    with caplog.at_level(logging.WARNING):
        async with connected(stranger, FakeWorker(1)) as encoder:
            assert await encoder.wait_for_change(False, lambda: TINY)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await encoder.wait_for_change(True, lambda: TINY)
    (message,) = [record.getMessage() for record in caplog.records]
    assert f"address={stranger.address}" in message
    assert "RebuildIndex with model_id=other@1" in message


async def test_health_follows_the_encoder_that_the_catalogue_comes_to_need(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(encoder_module, "RECHECK_SECONDS", 0.01)
    needed = TINY
    async with connected(FakeWorker(1)) as encoder:
        assert await encoder.wait_for_change(False, lambda: needed)
        change = asyncio.create_task(encoder.wait_for_change(True, lambda: needed))
        await asyncio.sleep(0)
        needed = OTHER
        assert not await change
