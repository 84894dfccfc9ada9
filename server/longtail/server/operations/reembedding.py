"""The change of the encoder: every text is encoded anew while the old vectors serve."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import numpy as np
from longtail.runtime.deadline import within
from longtail.runtime.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    Overloaded,
    ServiceError,
    StorageFull,
    Unavailable,
)
from longtail.server.encoder.encoder import BULK_SECONDS, TEXTS_PER_CALL, Encoder
from longtail.server.operations.progress import Progress
from longtail.server.store.encoders import EncoderIncomplete
from longtail.server.store.group_commit import GroupCommit
from longtail.server.store.record_store import RecordStore
from longtail.server.store.records import BoundEncoder, EncoderBinding, PendingText, Vector
from longtail.server.store.transaction import Transaction
from longtail.server.write.encoding import text_to_encode
from longtail.v1 import embedding_service_pb2 as pb
from numpy.typing import NDArray

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

Rebuild = Callable[[BoundEncoder, Callable[[int, int], None]], None]


class Reembedding:
    """Makes the vectors of another encoder and switches to it; takes up what a crash broke off."""

    def __init__(
        self, store: RecordStore, commit: GroupCommit, encoder: Encoder, rebuild: Rebuild
    ) -> None:
        self._store = store
        self._commit = commit
        self._encoder = encoder
        self._rebuild = rebuild

    async def run(self, binding: EncoderBinding, progress: Progress) -> None:
        """Change to the encoder `binding`.

        Raises FailedPrecondition when items come to have vectors of their own, InferenceFailed when
        the encoder cannot embed a text, and what has lasted for PATIENCE_SECONDS.
        """
        current = await asyncio.to_thread(self._store.encoders.current)
        if current is None or current.binding != binding:
            coming = await self._write(
                lambda tx: self._store.encoders.prepare(tx, binding), progress
            )
            await self._encode_pending(coming, progress)
            await asyncio.to_thread(self._build, coming, progress)
            await self._switch(coming, progress)
        await self.drop_retired(progress)

    async def drop_retired(self, progress: Progress) -> None:
        """Delete the vectors of former encoders, little by little."""
        dropped = DROPPED_AT_ONCE
        while dropped:
            dropped = await self._write(
                lambda tx: self._store.encoders.drop_retired(tx, DROPPED_AT_ONCE), progress
            )

    async def _encode_pending(self, coming: BoundEncoder, progress: Progress) -> None:
        """Encode what has no vector yet, with as many batches in flight as the workers take."""
        total = (await asyncio.to_thread(self._store.counts)).items
        pending = await asyncio.to_thread(self._store.encoders.pending_count, coming.id)
        done, after = max(0, total - pending), 0
        in_flight: set[asyncio.Task[int]] = set()
        try:
            while True:
                batch = await asyncio.to_thread(
                    self._store.encoders.pending, coming.id, TEXTS_PER_CALL, after
                )
                await asyncio.to_thread(self._refuse_given)
                if batch:
                    after = batch[-1].revision
                    in_flight.add(asyncio.create_task(self._encode(coming, batch, progress)))
                elif not in_flight:
                    return
                room = self._encoder.calls_at_once(coming.binding) + BATCHES_BEING_WRITTEN
                if not batch or len(in_flight) >= room:
                    ended, in_flight = await asyncio.wait(
                        in_flight, return_when=asyncio.FIRST_COMPLETED
                    )
                    done += sum(task.result() for task in ended)
                    # An item counts once when it is encoded and once when it is indexed.
                    progress.count(done, 2 * max(done, total))
        finally:
            for task in in_flight:
                task.cancel()
            await asyncio.gather(*in_flight, return_exceptions=True)

    async def _encode(
        self, coming: BoundEncoder, batch: Sequence[PendingText], progress: Progress
    ) -> int:
        texts = [text_to_encode(pending.title, pending.text) for pending in batch]

        async def embed() -> list[tuple[str, int, Vector]]:
            with within(BULK_SECONDS):
                rows = await self._encoder.embed(texts, pb.ROLE_ITEM, pb.LANE_BULK, coming.binding)
            return [(p.id, p.revision, row) for p, row in zip(batch, rows, strict=True)]

        rows = await _patiently(embed, progress)
        return await self._write(
            lambda tx: self._store.encoders.put_vectors(tx, coming.id, rows),
            progress,
        )

    def _build(self, coming: BoundEncoder, progress: Progress) -> None:
        items = self._store.counts().items
        self._rebuild(
            coming, lambda done, total: progress.count(items + done, items + max(total, items))
        )

    async def _switch(self, coming: BoundEncoder, progress: Progress) -> None:
        loop = asyncio.get_running_loop()

        def switch(tx: Transaction) -> int:
            last = self._store.encoders.pending(coming.id, LAST_TEXTS)
            if last:
                embedding = asyncio.run_coroutine_threadsafe(self._embed_last(coming, last), loop)
                vectors = embedding.result(LAST_SECONDS)
                self._store.encoders.put_vectors(
                    tx,
                    coming.id,
                    [(p.id, p.revision, row) for p, row in zip(last, vectors, strict=True)],
                )
            return self._store.encoders.switch(tx, coming.id)

        while True:
            await self._encode_pending(coming, progress)
            try:
                await self._write(switch, progress)
            except (EncoderIncomplete, TimeoutError):
                # Something was written just before: once more.
                await asyncio.sleep(FIRST_PAUSE)
            else:
                return

    async def _embed_last(
        self, coming: BoundEncoder, last: Sequence[PendingText]
    ) -> NDArray[np.float32]:
        with within(LAST_SECONDS):
            return await self._encoder.embed(
                [text_to_encode(pending.title, pending.text) for pending in last],
                pb.ROLE_ITEM,
                pb.LANE_INTERACTIVE,
                coming.binding,
            )

    def _refuse_given(self) -> None:
        if given := self._store.encoders.given_vectors(3):
            raise FailedPrecondition(
                "items have vectors of the caller's own, which another encoder cannot replace: "
                + ", ".join(map(repr, given))
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


def _retry_seconds(error: ServiceError) -> float:
    return error.retry_seconds if isinstance(error, Overloaded) else 0.0
