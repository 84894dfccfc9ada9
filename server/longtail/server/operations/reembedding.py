"""The change of the encoder: every text is encoded anew while the old vectors serve."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from longtail.runtime.deadline import within
from longtail.runtime.errors import FailedPrecondition
from longtail.server.catalogue.replica import CatalogueReplica
from longtail.server.encoder.encoder import TEXTS_PER_CALL, Encoder
from longtail.server.encoder.passages import Embedded
from longtail.server.operations.lease_holder import LeaseHolder, embed_texts, keep_embedded
from longtail.server.operations.patience import FIRST_PAUSE, patiently
from longtail.server.operations.progress import REFUSALS_TOLD, Progress
from longtail.server.store.encoders import EncoderIncomplete
from longtail.server.store.group_commit import GroupCommit
from longtail.server.store.leases import Lease, Refusal, TextRange
from longtail.server.store.record_store import RecordStore
from longtail.server.store.records import BoundEncoder, EncoderBinding, PendingText
from longtail.server.store.transaction import Transaction
from longtail.v1 import embedding_service_pb2 as pb

logger = logging.getLogger(__name__)

T = TypeVar("T")

# A worker that stays away for longer does not come back by itself: the operation fails, and what
# is encoded stays for the next one.
PATIENCE_SECONDS = 3600.0
# What is lost of work when a holder dies, and what the last of several is waited for.
LEASE_TEXTS = 4 * TEXTS_PER_CALL
# Ranges that wait to be taken: they are made as they are taken, and not all before the first.
AHEAD = 64
POLL_SECONDS = 0.5
DROPPED_AT_ONCE = 500
# Up to so many texts are encoded while writes are held, or a steady stream of them would keep the
# catalogue from ever being complete.
LAST_TEXTS, LAST_SECONDS = 64, 3.0

# Of all items, at least one. An encoder that takes no vector of more is no encoder of this
# catalogue, which would lose them.
MOST_REFUSED = 0.05
NAMED = 3

Rebuild = Callable[[BoundEncoder, Callable[[int, int], None]], None]


@dataclass
class _Change:
    """A change of the encoder under way.

    Items up to the revision `after` are in ranges that were given out; of those above, `beyond` had
    no vector of the `coming` encoder at the begin. `done` items are dealt with, of `total`,
    `indexed` of them are in the index.
    """

    coming: BoundEncoder
    progress: Progress
    total: int
    after: int
    beyond: int
    done: int = 0
    indexed: int = 0

    @property
    def operation_id(self) -> str:
        return self.progress.operation.id

    def tell(self) -> None:
        """Say how far it is: an item counts once when it is encoded and once when it is indexed."""
        self.progress.count(self.done + self.indexed, 2 * max(self.done, self.total))


class Reembedding:
    """Makes the vectors of another encoder and switches to it; takes up what a crash broke off."""

    def __init__(
        self,
        store: RecordStore,
        commit: GroupCommit,
        encoder: Encoder,
        holder: LeaseHolder,
        view: CatalogueReplica,
        rebuild: Rebuild,
    ) -> None:
        self._store = store
        self._commit = commit
        self._encoder = encoder
        self._holder = holder
        self._view = view
        self._rebuild = rebuild

    async def run(self, binding: EncoderBinding, progress: Progress) -> None:
        """Change to the encoder `binding`. Items whose texts it does not take are passed over.

        Raises FailedPrecondition when items come to have vectors of their own, or it takes too few,
        and what has lasted for PATIENCE_SECONDS.
        """
        current = await asyncio.to_thread(self._store.encoders.current)
        if current is None or current.binding != binding:
            await asyncio.to_thread(self.refuse_given)
            coming = await self._write(lambda tx: self._prepare(tx, binding, progress), progress)
            change = await asyncio.to_thread(self._begun, coming, progress)
            try:
                await self._encode_pending(change)
                await asyncio.to_thread(self._build, change)
                await self._switch(change)
            finally:
                await asyncio.to_thread(self._view.unstage)
        await self.drop_retired(progress)

    def refuse_given(self) -> None:
        """Raise FailedPrecondition when items have vectors of the caller's own.

        Reads the catalogue.
        """
        if given := self._store.encoders.given_vectors(NAMED):
            raise FailedPrecondition(
                "items have vectors of the caller's own, which another encoder cannot replace: "
                + ", ".join(map(repr, given))
            )

    async def drop_retired(self, progress: Progress) -> None:
        """Delete the vectors of former encoders, little by little."""
        dropped = DROPPED_AT_ONCE
        while dropped:
            dropped = await self._write(
                lambda tx: self._store.encoders.drop_retired(tx, DROPPED_AT_ONCE), progress
            )

    def _prepare(
        self, tx: Transaction, binding: EncoderBinding, progress: Progress
    ) -> BoundEncoder:
        self._store.leases.begin(tx, progress.operation.id)
        return self._store.encoders.prepare(tx, binding)

    def _begun(self, coming: BoundEncoder, progress: Progress) -> _Change:
        after = self._store.leases.divided(progress.operation.id)
        total = self._store.counts().items
        return _Change(
            coming, progress, total, after, self._store.encoders.pending_count(coming.id, after)
        )

    async def _encode_pending(self, change: _Change) -> None:
        """Have encoded what has no vector yet, by whoever takes a range of it on any machine."""
        loop = asyncio.get_running_loop()
        advanced = loop.time()

        async def look() -> list[Lease]:
            return await asyncio.to_thread(self._store.leases.unfinished)

        while True:
            unfinished = await patiently(look, change.progress.wait_for, PATIENCE_SECONDS)
            ranges = await self._divide(change, sum(not lease.holder for lease in unfinished))
            left = change.beyond + sum(lease.texts - lease.done for lease in unfinished)
            left += sum(each.texts for each in ranges)
            if ranges or change.total - left > change.done:
                advanced = loop.time()
                change.done = max(change.done, change.total - left)
                change.tell()
            await asyncio.to_thread(self._judge, change)
            if not unfinished and not ranges:
                return
            error = self._holder.waiting
            others = {lease.holder for lease in unfinished} - {"", self._holder.name}
            if error is not None and not others:
                if loop.time() - advanced > PATIENCE_SECONDS:
                    raise error
                change.progress.wait_for(error)
            await self._holder.advanced(POLL_SECONDS)

    async def _divide(self, change: _Change, waiting: int) -> Sequence[TextRange]:
        """Give out further ranges where so few are `waiting`; return them."""
        if waiting > AHEAD // 2:
            return ()

        async def pending() -> list[tuple[int, bool]]:
            limit = (AHEAD - waiting) * LEASE_TEXTS
            return await asyncio.to_thread(
                self._store.encoders.pending_revisions, change.coming.id, limit, change.after
            )

        found = await patiently(pending, change.progress.wait_for, PATIENCE_SECONDS)
        if any(given for _, given in found):
            await asyncio.to_thread(self.refuse_given)
        ranges, after = list[TextRange](), change.after
        for start in range(0, len(found), LEASE_TEXTS):
            revisions = [revision for revision, _ in found[start : start + LEASE_TEXTS]]
            ranges.append(TextRange(after, revisions[-1], len(revisions)))
            after = revisions[-1]
        if not ranges:
            return ()
        added = await self._write(
            lambda tx: self._store.leases.divide(tx, change.operation_id, change.coming.id, ranges),
            change.progress,
        )
        if added:
            change.after, change.beyond = after, max(0, change.beyond - len(found))
        else:
            change.after = await asyncio.to_thread(self._store.leases.divided, change.operation_id)
        self._holder.stir()
        return ranges

    def _judge(self, change: _Change, tx: Transaction | None = None) -> None:
        """Tell what is refused. Raises FailedPrecondition when it is too much."""
        count, first = self._store.leases.refused(change.operation_id, REFUSALS_TOLD, tx)
        change.progress.pass_over(count, first)
        if count > max(1, MOST_REFUSED * change.total):
            raise FailedPrecondition(
                f"the encoder makes no vector of {count} of {change.total} items: {_named(first)}"
            )

    def _build(self, change: _Change) -> None:
        def built(done: int, _total: int) -> None:
            change.indexed = done
            change.tell()

        self._rebuild(change.coming, built)

    async def _switch(self, change: _Change) -> None:
        loop = asyncio.get_running_loop()

        async def embed(last: Sequence[PendingText]) -> list[Embedded]:
            with within(LAST_SECONDS):
                return await embed_texts(self._encoder, change.coming, last, pb.LANE_INTERACTIVE)

        def switch(tx: Transaction) -> int:
            coming, after = change.coming, change.after
            if last := self._store.encoders.pending(coming.id, LAST_TEXTS, after):
                if any(pending.vector_given for pending in last):
                    self.refuse_given()
                embedding = asyncio.run_coroutine_threadsafe(embed(last), loop)
                embedded = embedding.result(LAST_SECONDS)
                keep_embedded(self._store, tx, change.operation_id, coming.id, last, embedded)
                after = last[-1].revision
            self._judge(change, tx)
            self._store.leases.end(tx, change.operation_id)
            return self._store.encoders.switch(tx, coming.id, after)

        async def attempt() -> int:
            await self._encode_pending(change)
            # Every write waits for the switch, and for what is not staged by then.
            await asyncio.to_thread(self._view.stage, change.coming)
            return await asyncio.wrap_future(self._commit.submit(switch))

        while True:
            try:
                await patiently(attempt, change.progress.wait_for, PATIENCE_SECONDS)
            except (EncoderIncomplete, TimeoutError):
                # Something was written just before: once more.
                await asyncio.sleep(FIRST_PAUSE)
            else:
                break
        change.done = change.indexed = change.total = max(change.done, change.total)
        change.tell()
        operation = change.progress.operation
        if operation.refused:
            logger.warning(
                "encoder changed, items not found any more count=%d first=%s",
                operation.refused,
                ", ".join(operation.refusals),
            )

    async def _write(self, write: Callable[[Transaction], T], progress: Progress) -> T:
        return await patiently(
            lambda: asyncio.wrap_future(self._commit.submit(write)),
            progress.wait_for,
            PATIENCE_SECONDS,
        )


def _named(refused: Mapping[str, Refusal]) -> str:
    first = list(refused.items())[:NAMED]
    return ", ".join(f"{item_id!r} ({refusal.message})" for item_id, refusal in first)
