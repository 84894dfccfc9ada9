"""What goes on in the background: asked for in any process, done by the one in office."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from grpc import StatusCode
from longtail.runtime.errors import (
    FailedPrecondition,
    NotFound,
    Overloaded,
    ServiceError,
    StorageFull,
    Unavailable,
)
from longtail.server.catalogue.indexer import Indexer
from longtail.server.catalogue.replica import CatalogueReplica
from longtail.server.encoder.encoder import Encoder
from longtail.server.operations.erasure import Erasure
from longtail.server.operations.lease_holder import LeaseHolder
from longtail.server.operations.progress import Progress
from longtail.server.operations.reembedding import DROPPED_AT_ONCE, Reembedding
from longtail.server.operations.snapshots import Snapshot, SnapshotLimits, Snapshots
from longtail.server.process.audit import Audit
from longtail.server.process.office import Office
from longtail.server.process.part import Part
from longtail.server.process.pools import Pools
from longtail.server.store.clock import now
from longtail.server.store.erasures import Left
from longtail.server.store.group_commit import GroupCommit
from longtail.server.store.record_store import RecordStore
from longtail.server.store.records import EncoderBinding, Operation, OperationKind, OperationState
from longtail.server.store.transaction import Transaction

logger = logging.getLogger(__name__)

T = TypeVar("T")

POLL_SECONDS = 0.5
PRUNE_SECONDS = 3600.0
KEPT_MICROSECONDS = 7 * 86_400 * 1_000_000
MAX_UNFINISHED = 16
RETRY_SECONDS = 10.0


class OperationRunner:
    """Takes operations down, and does them while in `office`: one rebuild and one other.

    `data` has other copies of the store than `snapshots`, of which none are made without `limits`.
    Who asks for operations or how they stand does not wait for one: `pools` are theirs. `part`
    tells of what keeps them from being looked at.
    """

    def __init__(
        self,
        store: RecordStore,
        commit: GroupCommit,
        view: CatalogueReplica,
        indexer: Indexer,
        encoder: Encoder,
        snapshots: Snapshots,
        data: Path,
        pools: Pools,
        part: Part,
        office: Office,
        limits: SnapshotLimits | None,
        audit: Audit,
    ) -> None:
        self._audit = audit
        self._limits = limits
        self._part = part
        self._pools = pools
        self._store = store
        self._commit = commit
        self._view = view
        self._indexer = indexer
        self._encoder = encoder
        self._snapshots = snapshots
        self._erasure = Erasure(store, commit, data, snapshots)
        self._holder = LeaseHolder(store, commit, encoder)
        self._reembedding = Reembedding(store, commit, encoder, self._holder, view, indexer.rebuild)
        self._office = office
        self._asking = asyncio.Lock()

    async def get(self, operation_id: str) -> Operation:
        """Return an operation. Raises NotFound."""
        read = partial(self._store.operations.get, operation_id)
        found = await self._pools.administration(read)
        if found is None:
            raise NotFound("operation", operation_id)
        return found

    async def rebuild_index(self, model_id: str) -> Operation:
        """Have the index rebuilt, with the encoder `model_id` or, when empty, the catalogue's own.

        Raises FailedPrecondition.
        """
        current = self._view.state.encoder.binding
        arguments: dict[str, Any] = {}
        if model_id not in ("", current.model_id):
            binding = self._connected(model_id)
            await self._pools.administration(self._reembedding.refuse_given)
            arguments = {"model_id": binding.model_id, "dimension": binding.dimension}
        return await self._ask(OperationKind.REBUILD_INDEX, arguments)

    async def create_snapshot(self) -> Operation:
        """Have a snapshot made. Raises FailedPrecondition when there is no room for one."""
        return await self._ask(OperationKind.CREATE_SNAPSHOT, {})

    async def verify_snapshot(self, snapshot_id: str) -> Operation:
        """Have a snapshot checked. Raises NotFound."""
        await self._pools.administration(partial(self._snapshots.path, snapshot_id))
        return await self._ask(OperationKind.VERIFY_SNAPSHOT, {"snapshot_id": snapshot_id})

    async def delete_snapshot(self, snapshot_id: str) -> int:
        """Delete a snapshot; return the bytes that it took.

        Raises NotFound, and FailedPrecondition while an operation reads it.
        """

        def delete() -> int:
            for operation in self._store.operations.unfinished():
                if operation.arguments.get("snapshot_id") == snapshot_id:
                    raise FailedPrecondition(f"an operation reads it: {operation.id}")
            return self._snapshots.delete(snapshot_id)

        async with self._asking:
            size = await self._pools.administration(delete)
        self._audit.tell("snapshot deleted", snapshot_id=snapshot_id, bytes=size)
        return size

    async def list_snapshots(self) -> list[Snapshot]:
        """Return the snapshots, the latest first."""
        return await self._pools.administration(self._snapshots.all)

    async def encode(self) -> None:
        """Have this process share in the encoding of operations, whoever owns them."""
        await self._holder.run(self._part)

    async def run(self) -> None:
        """Do what is asked for whenever this process is in office, until cancelled."""
        while True:
            await self._office.taken()
            await self._maintain()

    async def _maintain(self) -> None:
        """Do what is asked for until the office is lost: what is broken off is begun anew there."""
        running: dict[bool, asyncio.Task[None]] = {}
        swept, pruned = False, 0.0
        try:
            while self._office.is_held:
                with self._part:
                    if not swept:
                        await asyncio.to_thread(self._snapshots.remove_unfinished)
                        swept = True
                    for rebuilds, task in list(running.items()):
                        if task.done():
                            del running[rebuilds]
                            task.result()
                    for operation in await asyncio.to_thread(self._store.operations.unfinished):
                        rebuilds = operation.kind == OperationKind.REBUILD_INDEX
                        if rebuilds not in running:
                            running[rebuilds] = asyncio.create_task(self._do(operation))
                    if await asyncio.to_thread(self._store.spaces.any_deleted):
                        await self._write(self._drop_deleted_spaces)
                    if not pruned or time.monotonic() - pruned > PRUNE_SECONDS:
                        await self._write(self._prune)
                        await self._write(self._ask_for_erasure)
                        pruned = time.monotonic()
                await asyncio.sleep(POLL_SECONDS)
        finally:
            for task in running.values():
                task.cancel()
            await asyncio.gather(*running.values(), return_exceptions=True)

    def _connected(self, model_id: str) -> EncoderBinding:
        models = self._encoder.models()
        for binding in models:
            if binding.model_id == model_id:
                return binding
        there = ", ".join(sorted(binding.model_id for binding in models)) or "none"
        raise FailedPrecondition(f"no worker has the encoder {model_id}; connected are: {there}")

    async def _ask(self, kind: OperationKind, arguments: Mapping[str, Any]) -> Operation:
        def create(tx: Transaction) -> Operation:
            # Whoever holds the transaction is the only one that writes.
            unfinished = self._store.operations.unfinished()
            rebuild = OperationKind.REBUILD_INDEX
            if kind == rebuild:
                for operation in unfinished:
                    if operation.kind == rebuild:
                        raise FailedPrecondition(f"another rebuild runs: {operation.id}")
            making = OperationKind.CREATE_SNAPSHOT
            if kind == making:
                if self._limits is None:
                    raise FailedPrecondition(
                        "servers that share a store keep its snapshots in a folder that they have "
                        "in common: LONGTAIL_SNAPSHOT_FOLDER is not set"
                    )
                waiting = sum(operation.kind == making for operation in unfinished)
                self._snapshots.check_room(self._limits, self._store, waiting)
            asked = [each for each in unfinished if each.kind != OperationKind.ERASE_USER_DATA]
            if len(asked) >= MAX_UNFINISHED:
                message = f"{MAX_UNFINISHED} operations wait already"
                raise Overloaded(message, retry_seconds=RETRY_SECONDS)
            return self._store.operations.create(tx, kind, arguments)

        # What waits in the same transaction is not seen by `unfinished`.
        async with self._asking:
            operation = await self._write(create)
        self._audit.tell(f"asked for {kind.name.lower()}", operation=operation.id, **arguments)
        return operation

    async def _do(self, operation: Operation) -> None:
        logger.info("operation begins id=%s kind=%s", operation.id, operation.kind.name)
        progress = Progress(operation)
        keeper = asyncio.create_task(self._keep(progress))
        code, message = 0, ""
        try:
            await self._work(operation, progress)
        except ServiceError as error:
            code, message = error.code.value[0], str(error)
        except Exception:
            logger.exception("operation failed id=%s", operation.id)
            code, message = StatusCode.INTERNAL.value[0], "internal error: see the server's log"
        finally:
            progress.stop()
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
        state = OperationState.FAILED if code else OperationState.SUCCEEDED
        ended = replace(progress.operation, state=state, error_code=code, error_message=message)
        while not await self._persist(ended):  # noqa: ASYNC110  # a full disk sends no event
            await asyncio.sleep(POLL_SECONDS)
        self._audit.tell(f"{operation.kind.name.lower()} {state.name.lower()}", operation=ended.id)
        logger.info(
            "operation ended id=%s state=%s refused=%d error=%s",
            ended.id,
            state.name,
            ended.refused,
            message,
        )

    async def _work(self, operation: Operation, progress: Progress) -> None:
        arguments = operation.arguments
        match operation.kind:
            case OperationKind.CREATE_SNAPSHOT:
                made = await asyncio.to_thread(self._snapshots.create, self._store, progress.count)
                progress.name_snapshot(made.id)
            case OperationKind.VERIFY_SNAPSHOT:
                progress.name_snapshot(arguments["snapshot_id"])
                await asyncio.to_thread(
                    self._snapshots.verify, arguments["snapshot_id"], progress.count
                )
            case OperationKind.ERASE_USER_DATA:
                await self._erase(progress)
            case OperationKind.REBUILD_INDEX if arguments:
                binding = EncoderBinding(arguments["model_id"], arguments["dimension"])
                await self._reembedding.run(binding, progress)
            case OperationKind.REBUILD_INDEX:
                bound = self._view.state.encoder
                await asyncio.to_thread(self._indexer.rebuild, bound, progress.count)
                await self._reembedding.drop_retired(progress)

    async def _erase(self, progress: Progress) -> None:
        """Erase whoever was deleted, for as long as it takes."""
        # Whoever is deleted from now on has another operation.
        await self._write(lambda tx: self._store.operations.update(tx, progress.operation))
        while True:
            try:
                await asyncio.to_thread(self._erasure.run, progress.count)
            except (StorageFull, Unavailable) as error:
                progress.wait_for(error)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return

    async def _keep(self, progress: Progress) -> None:
        """Write how far the operation has come, when that has changed."""
        kept: Operation | None = None
        while True:
            standing = progress.operation
            if standing != kept and await self._persist(standing):
                kept = standing
            await asyncio.sleep(POLL_SECONDS)

    async def _persist(self, operation: Operation) -> bool:
        try:
            await self._write(lambda tx: self._store.operations.update(tx, operation))
        except Exception as error:
            # How it stands is no part of it: it goes on, and is written the next time.
            logger.warning("operation not written id=%s error=%s", operation.id, error)
            return False
        return True

    def _drop_deleted_spaces(self, tx: Transaction) -> int:
        return self._store.spaces.drop_deleted(tx, DROPPED_AT_ONCE)

    def _prune(self, tx: Transaction) -> int:
        before = now() - KEPT_MICROSECONDS
        return self._store.operations.prune(tx, before)

    def _ask_for_erasure(self, tx: Transaction) -> None:
        """Have done what an operation did not come to: a restore ends them all, damage some."""
        if self._store.erasures.left() != Left.NOWHERE:
            self._store.operations.pending_or_new(tx, OperationKind.ERASE_USER_DATA)

    async def _write(self, write: Callable[[Transaction], T]) -> T:
        return await asyncio.wrap_future(self._commit.submit(write))
