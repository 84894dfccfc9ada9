"""Several holders share a change of encoder: all is encoded once, whoever dies or cannot go on."""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from longtail.runtime.errors import Unavailable
from longtail.server.encoder.encoder import Encoder
from longtail.server.operations import lease_holder, reembedding
from longtail.server.operations.lease_holder import LeaseHolder
from longtail.server.process.part import Part
from longtail.server.store.records import OperationState

from tests.processes import ROOT
from tests.unit.server.fake_worker import FakeWorker, connected
from tests.unit.server.operations.test_runner import (
    ITEMS,
    OTHER,
    Server,
    ended,
    running,
    serving,
)


@pytest.fixture(autouse=True)
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have ten ranges of four texts."""
    monkeypatch.setattr(reembedding, "LEASE_TEXTS", 4)
    monkeypatch.setattr(lease_holder, "TEXTS_PER_CALL", 2)
    monkeypatch.setattr(lease_holder, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(lease_holder, "BEAT_SECONDS", 0.05)


def coming() -> FakeWorker:
    return FakeWorker(2, OTHER.model_id, OTHER.dimension)


@asynccontextmanager
async def holding(server: Server, encoder: Encoder) -> AsyncIterator[None]:
    """Run a holder as another process would."""
    holder = LeaseHolder(server.store, server.commit, encoder)
    task = asyncio.create_task(holder.run(Part("encoding")))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while True:
            if holds():
                return
            await asyncio.sleep(0.01)


def encoded(*workers: FakeWorker) -> Counter[str]:
    return Counter(text for worker in workers for call in worker.calls for text in call.texts)


async def test_others_encode_what_the_owner_has_no_worker_for(tmp_path: Path) -> None:
    one, two, asked = coming(), coming(), coming()
    async with (
        serving(tmp_path, FakeWorker(1), asked) as server,
        connected(one) as first,
        connected(two) as second,
    ):
        runner = server.runner(tmp_path)
        operation = await runner.rebuild_index(OTHER.model_id)
        await asked.serve(False)
        async with asyncio.timeout(60):
            while server.encoder.usable(OTHER):
                await server.encoder._group.changed()
        for each in (one, two):
            each.go.clear()
        async with running(runner), holding(server, first), holding(server, second):
            # Neither is done before the other has begun.
            for each in (one, two):
                await each.arrived.wait()
            for each in (one, two):
                each.go.set()
            found = await ended(runner, operation)
        assert (found.state, found.error_message) == (OperationState.SUCCEEDED, "")
        assert (found.done, found.total) == (2 * ITEMS, 2 * ITEMS)
        assert server.view.live_count == ITEMS
        assert (sum(encoded(one, two).values()), len(encoded(one, two))) == (ITEMS, ITEMS)
        assert not asked.calls


async def test_what_a_killed_process_left_is_encoded_and_the_rest_not_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_holder, "LEASE_SECONDS", 2.0)
    own, killed = coming(), await coming().start()
    killed.most = 6
    async with serving(tmp_path, FakeWorker(1), own) as server:
        runner = server.runner(tmp_path)
        own.go.clear()
        async with running(runner):
            operation = await runner.rebuild_index(OTHER.model_id)
            await own.arrived.wait()
            command = "-m", "bench.encoding", server.store.path, killed.address, tmp_path / "asked"
            other = await asyncio.create_subprocess_exec(sys.executable, *command, cwd=ROOT)
            try:
                # It holds a range that it has begun, and its worker has more of it.
                await until(lambda: len(killed.calls) > 6)
            finally:
                other.kill()
                await other.wait()
                await killed.stop()
            own.go.set()
            found = await ended(runner, operation)
        assert (found.state, found.error_message) == (OperationState.SUCCEEDED, "")
        assert server.view.live_count == ITEMS
        counts = encoded(own, killed)
        assert len(counts) == ITEMS
        # What was in flight: two calls of a range each, and one that was being written.
        assert sum(counts.values()) - ITEMS <= 12


async def test_a_holder_whose_worker_fails_leaves_its_range_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_holder, "PATIENCE_SECONDS", 0.1)
    own, well = coming(), coming()
    own.failure = Unavailable("no device")
    async with serving(tmp_path, FakeWorker(1), own) as server, connected(well) as encoder:
        runner = server.runner(tmp_path)
        async with running(runner):
            operation = await runner.rebuild_index(OTHER.model_id)
            await until(lambda: bool(server.store.operations.unfinished()[0].error_message))
            async with holding(server, encoder):
                found = await ended(runner, operation)
        assert (found.state, found.error_message) == (OperationState.SUCCEEDED, "")
        assert encoded(well).total() == ITEMS
        assert server.view.live_count == ITEMS
