"""The change of the encoder: every text is encoded anew while the old vectors serve."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

from longtail.runtime.deadline import within
from longtail.runtime.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    Overloaded,
    ServiceError,
    StorageFull,
    Unavailable,
)
from longtail.server.catalogue.replica import CatalogueReplica
from longtail.server.encoder.encoder import BULK_SECONDS, TEXTS_PER_CALL, Encoder
from longtail.server.encoder.passages import Embedded
from longtail.server.operations.progress import Progress
from longtail.server.store.encoders import EncoderIncomplete
from longtail.server.store.group_commit import GroupCommit
from longtail.server.store.record_store import RecordStore
from longtail.server.store.records import BoundEncoder, EncoderBinding, PendingText
from longtail.server.store.transaction import Transaction
from longtail.server.write.encoding import text_to_encode
from longtail.v1 import embedding_service_pb2 as pb

logger = logging.getLogger(__name__)

T = TypeVar("T")

# What passes: a worker that is away or full, a disk that is full, a writer that is busy.
PASSING = (Unavailable, Overloaded, DeadlineExceeded, StorageFull)
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
# A worker that stays away for longer does not come back by itself: the operation fails, and what
# is encoded stays for the next one.
PATIENCE_SECONDS = 3600.0
# While one batch is written the worker has others.
BATCHES_BEING_WRITTEN = 1
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

    Of the items up to the revision `after`, each has a vector of the `coming` encoder, is being
    encoded, or is `refused` by it. `done` items are dealt with, of `total`, and `indexed` of them
    are in the index.
    """

    coming: BoundEncoder
    progress: Progress
    total: int
    done: int
    indexed: int = 0
    after: int = 0
    refused: dict[str, ServiceError] = field(default_factory=dict)

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
        view: CatalogueReplica,
        rebuild: Rebuild,
    ) -> None:
        self._store = store
        self._commit = commit
        self._encoder = encoder
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
            coming = await self._write(
                lambda tx: self._store.encoders.prepare(tx, binding), progress
            )
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

    def _begun(self, coming: BoundEncoder, progress: Progress) -> _Change:
        total = self._store.counts().items
        pending = self._store.encoders.pending_count(coming.id)
        return _Change(coming, progress, total, max(0, total - pending))

    async def _encode_pending(self, change: _Change) -> None:
        """Encode what has no vector yet, with as many batches in flight as the workers take."""
        in_flight: set[asyncio.Task[None]] = set()
        binding = change.coming.binding
        try:
            while True:
                batch = await asyncio.to_thread(self._next, change, TEXTS_PER_CALL)
                if batch:
                    change.after = batch[-1].revision
                    in_flight.add(asyncio.create_task(self._encode(change, batch)))
                elif not in_flight:
                    return
                room = self._encoder.calls_at_once(binding) + BATCHES_BEING_WRITTEN
                if not batch or len(in_flight) >= room:
                    ended, in_flight = await asyncio.wait(
                        in_flight, return_when=asyncio.FIRST_COMPLETED
                    )
                    for task in ended:
                        task.result()
        finally:
            for task in in_flight:
                task.cancel()
            await asyncio.gather(*in_flight, return_exceptions=True)

    def _next(self, change: _Change, limit: int) -> list[PendingText]:
        batch = self._store.encoders.pending(change.coming.id, limit, change.after)
        if any(pending.vector_given for pending in batch):
            self.refuse_given()
        return batch

    async def _encode(self, change: _Change, batch: Sequence[PendingText]) -> None:
        async def embed() -> list[Embedded]:
            with within(BULK_SECONDS):
                return await self._embed(change.coming, batch, pb.LANE_BULK)

        embedded = await _patiently(embed, change.progress)
        kept = await self._write(
            lambda tx: self._keep(tx, change, batch, embedded), change.progress
        )
        change.done += kept
        change.tell()

    async def _embed(
        self, coming: BoundEncoder, batch: Sequence[PendingText], lane: pb.Lane
    ) -> list[Embedded]:
        texts = [text_to_encode(pending.title, pending.text) for pending in batch]
        return await self._encoder.embed(texts, pb.ROLE_ITEM, lane, coming.binding)

    def _keep(
        self,
        tx: Transaction,
        change: _Change,
        batch: Sequence[PendingText],
        embedded: Sequence[Embedded],
    ) -> int:
        """Keep the vectors of a batch, and say what is refused of it; return how many were done.

        Raises FailedPrecondition when too much is refused.
        """
        # A version that was replaced comes again; what became of it says nothing of the item.
        current = self._store.items.revisions(tx, [pending.id for pending in batch])
        rows = []
        for pending, each in zip(batch, embedded, strict=True):
            if current.get(pending.id) != pending.revision:
                continue
            if isinstance(each, ServiceError):
                change.refused[pending.id] = each
            else:
                change.refused.pop(pending.id, None)
                rows.append((pending.id, pending.revision, each))
        change.progress.pass_over(change.refused)
        if len(change.refused) > max(1, MOST_REFUSED * change.total):
            raise FailedPrecondition(
                f"the encoder makes no vector of {len(change.refused)} of {change.total} items: "
                + _named(change.refused)
            )
        self._store.encoders.put_vectors(tx, change.coming.id, rows)
        return sum(current.get(pending.id) == pending.revision for pending in batch)

    def _build(self, change: _Change) -> None:
        def built(done: int, _total: int) -> None:
            change.indexed = done
            change.tell()

        self._rebuild(change.coming, built)

    async def _switch(self, change: _Change) -> None:
        loop = asyncio.get_running_loop()

        async def embed(last: Sequence[PendingText]) -> list[Embedded]:
            with within(LAST_SECONDS):
                return await self._embed(change.coming, last, pb.LANE_INTERACTIVE)

        def switch(tx: Transaction) -> int:
            after = change.after
            if last := self._next(change, LAST_TEXTS):
                embedding = asyncio.run_coroutine_threadsafe(embed(last), loop)
                self._keep(tx, change, last, embedding.result(LAST_SECONDS))
                after = last[-1].revision
            return self._store.encoders.switch(tx, change.coming.id, after)

        async def attempt() -> int:
            await self._encode_pending(change)
            # Every write waits for the switch, and for what is not staged by then.
            await asyncio.to_thread(self._view.stage, change.coming)
            return await asyncio.wrap_future(self._commit.submit(switch))

        while True:
            try:
                await _patiently(attempt, change.progress)
            except (EncoderIncomplete, TimeoutError):
                # Something was written just before: once more.
                await asyncio.sleep(FIRST_PAUSE)
            else:
                break
        change.done = change.indexed = change.total = max(change.done, change.total)
        change.tell()
        if change.refused:
            logger.warning(
                "encoder changed, items not found any more count=%d first=%s",
                len(change.refused),
                _named(change.refused),
            )

    async def _write(self, write: Callable[[Transaction], T], progress: Progress) -> T:
        return await _patiently(lambda: asyncio.wrap_future(self._commit.submit(write)), progress)


async def _patiently(attempt: Callable[[], Awaitable[T]], progress: Progress) -> T:
    """Try until it succeeds; what passes is waited for, visibly, for PATIENCE_SECONDS."""
    loop = asyncio.get_running_loop()
    begun, pause = loop.time(), FIRST_PAUSE
    while True:
        try:
            return await attempt()
        except PASSING as error:
            if loop.time() - begun > PATIENCE_SECONDS:
                raise
            progress.wait_for(error)
            await asyncio.sleep(max(pause, _retry_seconds(error)))
            pause = min(2 * pause, LONGEST_PAUSE)


def _named(refused: Mapping[str, ServiceError]) -> str:
    return ", ".join(f"{item_id!r} ({error})" for item_id, error in islice(refused.items(), NAMED))


def _retry_seconds(error: ServiceError) -> float:
    return error.retry_seconds if isinstance(error, Overloaded) else 0.0
