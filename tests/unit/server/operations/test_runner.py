"""Operations: asked for, done by the owner, taken up after it ended, and what is refused."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from longtail.runtime.errors import (
    FailedPrecondition,
    InferenceFailed,
    InvalidArgument,
    NotFound,
    Unavailable,
    Violation,
)
from longtail.server.catalogue.indexer import Indexer
from longtail.server.catalogue.replica import CatalogueReplica
from longtail.server.catalogue.state import CatalogueState
from longtail.server.encoder.encoder import Encoder
from longtail.server.operations import lease_holder, reembedding
from longtail.server.operations import runner as runner_module
from longtail.server.operations.runner import OperationRunner
from longtail.server.operations.snapshots import SnapshotLimits, Snapshots
from longtail.server.process.audit import Audit
from longtail.server.process.office import Office
from longtail.server.process.part import Part
from longtail.server.process.pools import Pools
from longtail.server.store.group_commit import GroupCommit
from longtail.server.store.record_store import RecordStore
from longtail.server.store.records import (
    BoundEncoder,
    EncoderBinding,
    Interaction,
    ItemContent,
    NewItem,
    Operation,
    OperationKind,
    OperationState,
)
from longtail.server.store.transaction import Transaction
from sqlalchemy import event

from tests.unit.server.catalogues import SETTINGS
from tests.unit.server.fake_worker import TINY, FakeWorker, connected
from tests.unit.server.new_stores import open_store
from tests.unit.server.store_records import vectors_in_spaces

T = TypeVar("T")

OTHER = EncoderBinding("tiny@2", 3)
ITEMS = 40
LIMITS = SnapshotLimits(count=100, size=10**9)


class Server:
    """What one process has, as far as operations go."""

    def __init__(
        self,
        store: RecordStore,
        commit: GroupCommit,
        view: CatalogueReplica,
        encoder: Encoder,
        pools: Pools,
        audit: Audit,
    ) -> None:
        self.store, self.commit, self.view, self.encoder = store, commit, view, encoder
        self.pools, self.audit = pools, audit
        self.office = Office()
        self.office.set(True)

    def runner(
        self, folder: Path, limits: SnapshotLimits | None = LIMITS, office: Office | None = None
    ) -> OperationRunner:
        indexer = Indexer(
            self.view, self.store, folder / "index", merge_rows=1_000_000, part=Part("indexer")
        )
        return OperationRunner(
            self.store,
            self.commit,
            self.view,
            indexer,
            self.encoder,
            Snapshots(folder / "snapshots"),
            folder,
            self.pools,
            Part("operations"),
            office or self.office,
            limits,
            self.audit,
        )

    async def write(self, *numbers: int, given: bool = False, title: str = "Item") -> None:
        bound = self.view.state.encoder
        vector = np.eye(1, bound.binding.dimension, dtype=np.float32)[0]
        items = [
            NewItem(ItemContent(f"i{n}", f"{title} {n}", "", {}, 0.0), vector, given)
            for n in numbers
        ]
        await asyncio.wrap_future(
            self.commit.submit(lambda tx: self.store.items.upsert(tx, items, bound.id))
        )


@asynccontextmanager
async def serving(folder: Path, *workers: FakeWorker) -> AsyncIterator[Server]:
    store = open_store(folder / "longtail.db")
    views: list[CatalogueReplica] = []
    try:
        async with connected(*workers) as encoder:

            def follow() -> None:
                for view in views:
                    view.follow()

            with (
                closing(Audit(folder / "audit", None, 10**6)) as audit,
                store.group_commit(follow, 100) as commit,
                Pools() as pools,
            ):
                bound = await asyncio.wrap_future(
                    commit.submit(lambda tx: store.encoders.bind(tx, TINY))
                )
                views.append(CatalogueReplica(store, bound, SETTINGS, folder / "index"))
                server = Server(store, commit, views[0], encoder, pools, audit)
                await server.write(*range(ITEMS))
                yield server
    finally:
        store.close()


@asynccontextmanager
async def running(runner: OperationRunner) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(work) for work in (runner.run(), runner.encode())]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def ended(runner: OperationRunner, operation: Operation) -> Operation:
    async with asyncio.timeout(60):
        while True:
            found = await runner.get(operation.id)
            if found.state in (OperationState.SUCCEEDED, OperationState.FAILED):
                return found
            await asyncio.sleep(0.05)


async def test_another_encoder_is_taken_in_while_the_old_one_serves(tmp_path: Path) -> None:
    new = FakeWorker(2, OTHER.model_id, OTHER.dimension)
    async with serving(tmp_path, FakeWorker(1), new) as server:
        runner = server.runner(tmp_path)
        async with running(runner):
            new.go.clear()
            operation = await runner.rebuild_index(OTHER.model_id)
            await new.arrived.wait()
            assert server.view.state.encoder.binding == TINY
            await server.write(3, ITEMS)
            new.go.set()
            found = await ended(runner, operation)
        assert (found.state, found.error_message) == (OperationState.SUCCEEDED, "")
        state = server.view.state
        assert state.encoder.binding == OTHER
        assert server.view.live_count == ITEMS + 1
        # All of them have vectors of the new worker, which begin with its number.
        rows = np.flatnonzero(state.columns.visible(state.revision, state.columns.count))
        assert set(state.index.vectors(rows)[:, 0].tolist()) == {2.0}
        assert state.index.graph_rows == ITEMS + 1
        assert server.store.encoders.retired(1) == 0


async def test_what_a_deleted_space_leaves_is_dropped_and_a_rebuild_keeps_the_others(
    tmp_path: Path,
) -> None:
    new = FakeWorker(2, OTHER.model_id, OTHER.dimension)
    async with serving(tmp_path, FakeWorker(1), new) as server:
        store, vector = server.store, np.eye(1, 4, dtype=np.float32)[0]

        async def do(write: Callable[[Transaction], T]) -> T:
            return await asyncio.wrap_future(server.commit.submit(write))

        kept, _ = await do(lambda tx: store.spaces.declare(tx, "kept", 4))
        gone, _ = await do(lambda tx: store.spaces.declare(tx, "gone", 4))
        bare = [
            NewItem(
                ItemContent(f"b{n}", "", "", {}, 0.0), None, False, {kept: vector, gone: vector}
            )
            for n in range(3)
        ]
        await do(lambda tx: store.items.upsert(tx, bare, server.view.state.encoder.id))
        await do(lambda tx: store.spaces.delete(tx, "gone"))
        assert vectors_in_spaces(store) == {kept.id: 3, gone.id: 3}
        runner = server.runner(tmp_path)
        async with running(runner):
            found = await ended(runner, await runner.rebuild_index(OTHER.model_id))
        assert (found.state, found.refused) == (OperationState.SUCCEEDED, 0)
        assert vectors_in_spaces(store) == {kept.id: 3}
        assert not store.spaces.any_deleted()
        # They have no text that the encoder was to make anything of.
        assert store.changes.vectors(server.view.state.encoder.id, ["b0", "b1", "b2"]) == {}


async def test_an_item_that_the_encoder_does_not_take_is_passed_over_and_told(
    tmp_path: Path,
) -> None:
    new = FakeWorker(2, OTHER.model_id, OTHER.dimension)
    new.failures = {
        "Item 3": InvalidArgument(Violation("texts[3]", "is no text")).status(),
        "Item 5": InferenceFailed("the device failed").status(),
        # It is written with another text before the switch.
        f"Item {ITEMS}": InvalidArgument(Violation("texts[0]", "is no text")).status(),
    }
    async with serving(tmp_path, FakeWorker(1), new) as server:
        await server.write(*range(ITEMS, 2 * ITEMS))
        runner = server.runner(tmp_path)
        rebuild = runner._reembedding._rebuild
        loop = asyncio.get_running_loop()

        def rewrite(encoder: BoundEncoder, progress: Callable[[int, int], None]) -> None:
            writing = server.write(ITEMS, title="Another")
            asyncio.run_coroutine_threadsafe(writing, loop).result(60)
            rebuild(encoder, progress)

        runner._reembedding._rebuild = rewrite
        async with running(runner):
            found = await ended(runner, await runner.rebuild_index(OTHER.model_id))
        assert (found.state, found.error_message) == (OperationState.SUCCEEDED, "")
        assert (found.done, found.refused) == (found.total, 2)
        assert found.refusals == {
            "i3": {"code": 3, "message": "text: cannot be encoded: is no text"},
            "i5": {"code": 13, "message": "the encoder failed on a text: the device failed"},
        }
        state = server.view.state
        assert state.encoder.binding == OTHER
        assert server.view.live_count == 2 * ITEMS - 2
        assert set(server.store.items.get(["i3", "i5"])) == {"i3", "i5"}
        # Nothing is left of the old encoder's that could hold up the next change.
        assert server.store.encoders.retired(1) == 0


async def test_an_encoder_that_takes_too_little_is_not_switched_to(tmp_path: Path) -> None:
    new = FakeWorker(2, OTHER.model_id, OTHER.dimension)
    failure = InferenceFailed("the device failed").status()
    new.failures = {f"Item {n}": failure for n in range(ITEMS)}
    async with serving(tmp_path, FakeWorker(1), new) as server:
        runner = server.runner(tmp_path)
        async with running(runner):
            failed = await ended(runner, await runner.rebuild_index(OTHER.model_id))
            assert failed.state == OperationState.FAILED
            assert f"no vector of {ITEMS} of {ITEMS} items: 'i0' (" in failed.error_message
            assert server.view.state.encoder.binding == TINY
            assert server.view.live_count == ITEMS
            # Once it is well, it is asked again.
            new.failures = {}
            found = await ended(runner, await runner.rebuild_index(OTHER.model_id))
        assert (found.state, found.refused) == (OperationState.SUCCEEDED, 0)
        assert server.view.live_count == ITEMS


async def test_writes_go_on_while_the_catalogue_is_loaded_for_another_encoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loading, go = threading.Event(), threading.Event()
    load = CatalogueReplica._load

    def held(view: CatalogueReplica, encoder: BoundEncoder) -> CatalogueState:
        if encoder.binding == OTHER:
            loading.set()
            assert go.wait(60)
        return load(view, encoder)

    monkeypatch.setattr(CatalogueReplica, "_load", held)
    new = FakeWorker(2, OTHER.model_id, OTHER.dimension)
    async with serving(tmp_path, FakeWorker(1), new) as server:
        runner = server.runner(tmp_path)
        async with running(runner):
            operation = await runner.rebuild_index(OTHER.model_id)
            assert await asyncio.to_thread(loading.wait, 60)
            try:
                async with asyncio.timeout(30):
                    await server.write(3, ITEMS)
                assert server.view.live_count == ITEMS + 1
            finally:
                go.set()
            found = await ended(runner, operation)
        assert found.state == OperationState.SUCCEEDED
        assert server.view.state.encoder.binding == OTHER
        assert server.view.live_count == ITEMS + 1


async def test_a_change_of_encoder_reads_the_catalogue_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reembedding, "LEASE_TEXTS", 64)
    monkeypatch.setattr(reembedding, "AHEAD", 4)
    monkeypatch.setattr(lease_holder, "TEXTS_PER_CALL", 16)
    new = FakeWorker(2, OTHER.model_id, OTHER.dimension)
    steps = []
    for items in (100, 1600):
        async with serving(tmp_path / f"{items}", FakeWorker(1), new) as server:
            await server.write(*range(items))
            runner = server.runner(tmp_path / f"{items}")
            with counted(server.store) as count:
                async with running(runner):
                    found = await ended(runner, await runner.rebuild_index(OTHER.model_id))
            assert found.state == OperationState.SUCCEEDED
            steps.append(count())
    # Not the square of sixteen times the work, which is what sixteen times the items need.
    assert steps[1] < 32 * steps[0]


@contextmanager
def counted(store: RecordStore) -> Iterator[Callable[[], int]]:
    """Count the steps of SQLite's machine, in hundreds, of connections taken within the block."""
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    def taken(connection: sqlite3.Connection, *_: object) -> None:
        connection.set_progress_handler(step, 100)

    event.listen(store._engine, "checkout", taken)
    yield lambda: steps
    event.remove(store._engine, "checkout", taken)


async def test_a_change_that_failed_goes_on_and_encodes_nothing_twice(tmp_path: Path) -> None:
    new = FakeWorker(2, OTHER.model_id, OTHER.dimension)
    async with serving(tmp_path, FakeWorker(1), new) as server:
        first, second = server.runner(tmp_path), server.runner(tmp_path)

        def fail(*_: object) -> None:
            raise Unavailable("no index today")

        first._reembedding._rebuild = fail
        async with running(first):
            failed = await ended(first, await first.rebuild_index(OTHER.model_id))
        assert (failed.state, failed.error_message) == (OperationState.FAILED, "no index today")
        assert server.view.state.encoder.binding == TINY
        async with running(second):
            found = await ended(second, await second.rebuild_index(OTHER.model_id))
        assert found.state == OperationState.SUCCEEDED
        assert server.view.state.encoder.binding == OTHER
        assert sum(len(call.texts) for call in new.calls) == ITEMS


async def test_operations_are_done_by_who_is_in_office_alone(tmp_path: Path) -> None:
    async with serving(tmp_path, FakeWorker(1)) as server:
        office = Office()
        other, owner = server.runner(tmp_path, office=office), server.runner(tmp_path)
        task = asyncio.create_task(other.run())
        operation = await other.create_snapshot()
        await asyncio.sleep(0.7)
        assert (await other.get(operation.id)).state == OperationState.PENDING
        async with running(owner):
            found = await ended(other, operation)
            server.office.set(False)
            office.set(True)
            await ended(owner, await owner.verify_snapshot(found.snapshot_id))
        task.cancel()
        assert found.state == OperationState.SUCCEEDED
        [snapshot] = await other.list_snapshots()
        assert (snapshot.id, snapshot.items) == (found.snapshot_id, ITEMS)


async def test_nobody_who_asks_waits_for_an_operation(tmp_path: Path) -> None:
    go, loop = threading.Event(), asyncio.get_running_loop()
    async with serving(tmp_path, FakeWorker(1)) as server:
        runner = server.runner(tmp_path)
        # Where operations are done there is no room.
        loop.set_default_executor(ThreadPoolExecutor(1))
        at_work = loop.run_in_executor(None, go.wait)
        try:
            async with asyncio.timeout(60):
                operation = await runner.create_snapshot()
                assert await runner.get(operation.id) == operation
                assert await runner.list_snapshots() == []
                with pytest.raises(NotFound):
                    await runner.verify_snapshot("none")
        finally:
            go.set()
        await at_work


async def test_a_damaged_snapshot_fails_its_verification(tmp_path: Path) -> None:
    async with serving(tmp_path, FakeWorker(1)) as server:
        runner = server.runner(tmp_path)
        async with running(runner):
            made = await ended(runner, await runner.create_snapshot())
            sound = await ended(runner, await runner.verify_snapshot(made.snapshot_id))
            assert sound.state == OperationState.SUCCEEDED
            database = tmp_path / "snapshots" / made.snapshot_id / "longtail.db"
            data = bytearray(database.read_bytes())
            data[len(data) // 2] ^= 1
            database.write_bytes(data)
            damaged = await ended(runner, await runner.verify_snapshot(made.snapshot_id))
        assert (damaged.state, damaged.error_code) == (OperationState.FAILED, 15)
        with pytest.raises(NotFound):
            await runner.verify_snapshot("nowhere")


async def test_without_a_place_for_them_no_snapshots_are_made(tmp_path: Path) -> None:
    async with serving(tmp_path, FakeWorker(1)) as server:
        with pytest.raises(FailedPrecondition, match="LONGTAIL_SNAPSHOT_FOLDER"):
            await server.runner(tmp_path, limits=None).create_snapshot()


async def test_snapshots_have_a_limit_and_are_deleted(tmp_path: Path) -> None:
    async with serving(tmp_path, FakeWorker(1)) as server:
        runner = server.runner(tmp_path, SnapshotLimits(count=2, size=10**9))
        async with running(runner):
            first = await ended(runner, await runner.create_snapshot())
            await ended(runner, await runner.create_snapshot())
            for _ in range(20):
                with pytest.raises(FailedPrecondition, match=r"2 snapshots and 0 .* of 2 at most"):
                    await runner.create_snapshot()
            await runner.delete_snapshot(first.snapshot_id)
            with pytest.raises(NotFound):
                await runner.delete_snapshot(first.snapshot_id)
            third = await ended(runner, await runner.create_snapshot())
        # Nobody does what is asked for now: what waits counts too.
        await runner.delete_snapshot(third.snapshot_id)
        await runner.create_snapshot()
        with pytest.raises(FailedPrecondition, match=r"1 snapshots and 1 to be made"):
            await runner.create_snapshot()
        assert len(list((tmp_path / "snapshots").iterdir())) == 1
        small = server.runner(tmp_path, SnapshotLimits(count=9, size=100_000))
        with pytest.raises(FailedPrecondition, match=r"over 100,000 \(LONGTAIL_SNAPSHOTS_GB\)"):
            await small.create_snapshot()


async def test_a_snapshot_that_is_read_is_not_deleted(tmp_path: Path) -> None:
    async with serving(tmp_path, FakeWorker(1)) as server:
        runner = server.runner(tmp_path)
        async with running(runner):
            made = await ended(runner, await runner.create_snapshot())
        reading = await runner.verify_snapshot(made.snapshot_id)
        with pytest.raises(FailedPrecondition, match=f"an operation reads it: {reading.id}"):
            await runner.delete_snapshot(made.snapshot_id)


async def test_a_damaged_copy_fails_an_erasure_by_name_until_it_is_deleted(tmp_path: Path) -> None:
    async with serving(tmp_path, FakeWorker(1)) as server:
        runner = server.runner(tmp_path)
        done = Interaction("e", "someone", "1", "view", 1, 0, "their query")
        store, commit = server.store, server.commit

        def deleted() -> Operation:
            commit.submit(lambda tx: store.forget(tx, "someone")).result()
            kind = OperationKind.ERASE_USER_DATA
            return commit.submit(lambda tx: store.operations.pending_or_new(tx, kind)).result()

        commit.submit(lambda tx: store.interactions.write(tx, [done])).result()
        async with running(runner):
            bad = (await ended(runner, await runner.create_snapshot())).snapshot_id
            good = (await ended(runner, await runner.create_snapshot())).snapshot_id
            database = tmp_path / "snapshots" / bad / "longtail.db"
            database.write_bytes(database.read_bytes()[:-1] + b"x")
            failed = await ended(runner, await asyncio.to_thread(deleted))
            assert failed.state == OperationState.FAILED
            assert bad in failed.error_message
            # All others are erased.
            copy = tmp_path / "snapshots" / good / "longtail.db"
            for path in (store.path, copy):
                assert b"their query" not in path.read_bytes()
            await runner.delete_snapshot(bad)
            again = await ended(runner, await asyncio.to_thread(deleted))
            assert again.state == OperationState.SUCCEEDED
            sound = await ended(runner, await runner.verify_snapshot(good))
            assert sound.state == OperationState.SUCCEEDED


async def test_a_rebuild_with_the_same_encoder_builds_the_graph_anew(tmp_path: Path) -> None:
    async with serving(tmp_path, FakeWorker(1)) as server:
        runner = server.runner(tmp_path)
        async with running(runner):
            found = await ended(runner, await runner.rebuild_index(""))
        assert (found.state, found.done, found.total) == (OperationState.SUCCEEDED, ITEMS, ITEMS)
        assert server.view.state.index.graph_rows == ITEMS


async def test_what_cannot_be_done_is_refused_at_once(tmp_path: Path) -> None:
    new = FakeWorker(2, OTHER.model_id, OTHER.dimension)
    async with serving(tmp_path, FakeWorker(1), new) as server:
        runner = server.runner(tmp_path)
        with pytest.raises(FailedPrecondition, match=r"no worker has the encoder gone@1.*tiny@1"):
            await runner.rebuild_index("gone@1")
        first = await runner.rebuild_index("")
        with pytest.raises(FailedPrecondition, match=f"another rebuild runs: {first.id}"):
            await runner.rebuild_index("")
        async with running(runner):
            await ended(runner, first)
        await server.write(7, given=True)
        with pytest.raises(FailedPrecondition, match=r"vectors of the caller's own.*'i7'"):
            await runner.rebuild_index(OTHER.model_id)
        with pytest.raises(NotFound):
            await runner.get("nowhere")
        assert [operation.kind for operation in server.store.operations.unfinished()] == []
        assert first.kind == OperationKind.REBUILD_INDEX


async def test_what_keeps_operations_from_being_looked_at_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(tmp_path, FakeWorker(1)) as server:
        runner, operations = server.runner(tmp_path), server.store.operations
        failures: list[Exception] = [MemoryError(), OSError("no disk"), RuntimeError("no reason")]
        unfinished, update = operations.unfinished, operations.update
        undone: list[Exception] = [RuntimeError("durable, but not followed")]

        def not_found() -> Sequence[Operation]:
            if failures:
                raise failures.pop()
            return unfinished()

        def not_written(tx: Transaction, operation: Operation) -> None:
            if operation.state == OperationState.SUCCEEDED and undone:
                raise undone.pop()
            update(tx, operation)

        operation = await runner.create_snapshot()
        monkeypatch.setattr(runner_module, "POLL_SECONDS", 0.02)
        monkeypatch.setattr(operations, "unfinished", not_found)
        monkeypatch.setattr(operations, "update", not_written)
        async with running(runner):
            found = await ended(runner, operation)
        assert (found.state, failures, undone) == (OperationState.SUCCEEDED, [], [])
