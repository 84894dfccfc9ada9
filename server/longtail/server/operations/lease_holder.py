"""Encodes ranges of texts for a change of encoder, in any process that knows workers of it.

Whoever holds a lease gives signs of life; that of one which gives none is taken over, and what
lacks a vector of its range is encoded. As in Amazon's Kinesis Client Library, signs are counted and
their standstill is timed by who looks: clocks of machines are not compared.
"""

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from longtail.runtime.deadline import within
from longtail.runtime.errors import ServiceError, Unavailable
from longtail.server.encoder.encoder import BULK_SECONDS, TEXTS_PER_CALL, Encoder
from longtail.server.encoder.passages import Embedded
from longtail.server.operations.patience import PASSING, patiently
from longtail.server.process.part import Part
from longtail.server.store.group_commit import GroupCommit
from longtail.server.store.leases import Lease, LeaseLost, Refusal
from longtail.server.store.record_store import RecordStore
from longtail.server.store.records import BoundEncoder, PendingText
from longtail.server.store.transaction import Transaction
from longtail.server.write.encoding import text_to_encode
from longtail.v1 import embedding_service_pb2 as pb

logger = logging.getLogger(__name__)

T = TypeVar("T")

POLL_SECONDS = 0.5
# A holder gives a sign of life so often, and is taken for dead after so long without one.
BEAT_SECONDS, LEASE_SECONDS = 3.0, 30.0
# For so long a holder waits for what passes before it leaves its ranges to others.
PATIENCE_SECONDS = 30.0
# While one batch is written the worker has others.
BATCHES_BEING_WRITTEN = 1


@dataclass(frozen=True)
class _Batch:
    """Texts of a range, which is finished when `goal` of its texts are dealt with."""

    lease: Lease
    goal: int
    texts: Sequence[PendingText]


class LeaseHolder:
    """Takes leases and encodes, while `run` does, whatever change of encoder is under way."""

    def __init__(self, store: RecordStore, commit: GroupCommit, encoder: Encoder) -> None:
        self._store = store
        self._commit = commit
        self._encoder = encoder
        self._stirred, self._advanced = asyncio.Event(), asyncio.Event()
        # The sign of life that each holder was seen with last, and since when.
        self._seen: dict[tuple[str, int], tuple[int, float]] = {}
        self.name = uuid.uuid4().hex
        # What keeps this holder from going on for now.
        self.waiting: ServiceError | None = None

    async def run(self, part: Part) -> None:
        """Encode what there is to encode, until cancelled."""
        while True:
            with part:
                await self._encode_leased()
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._stirred.wait()
            self._stirred.clear()

    def stir(self) -> None:
        """Say that there are leases to be had."""
        self._stirred.set()

    async def advanced(self, seconds: float) -> None:
        """Wait until this holder has got on, or so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._advanced.wait()
        self._advanced.clear()

    async def _encode_leased(self) -> None:
        coming = await asyncio.to_thread(self._store.encoders.next)
        if coming is None:
            self.waiting = None
            self._seen.clear()
            return
        try:
            async with self._beating():
                await self._encode_all(coming)
        except PASSING as error:
            self._wait_for(error)

    async def _encode_all(self, coming: BoundEncoder) -> None:
        """Encode range after range, with as many batches in flight as the workers take."""
        ready: deque[_Batch] = deque()
        in_flight: set[asyncio.Task[Lease | None]] = set()
        try:
            while True:
                if not ready:
                    ready.extend(await self._take(coming))
                taken = bool(ready)
                if taken:
                    in_flight.add(asyncio.create_task(self._encode(coming, ready.popleft())))
                elif not in_flight:
                    return
                room = self._encoder.calls_at_once(coming.binding) + BATCHES_BEING_WRITTEN
                if not taken or len(in_flight) >= room:
                    ended, in_flight = await asyncio.wait(
                        in_flight, return_when=asyncio.FIRST_COMPLETED
                    )
                    lost = {task.result() for task in ended} - {None}
                    ready = deque(batch for batch in ready if batch.lease not in lost)
        finally:
            for task in in_flight:
                task.cancel()
            await asyncio.gather(*in_flight, return_exceptions=True)

    async def _take(self, coming: BoundEncoder) -> Sequence[_Batch]:
        """Return the batches of a range that is held from now on; none when none is to be had."""
        while True:
            unfinished = await asyncio.to_thread(self._store.leases.unfinished)
            dead = self._dead(unfinished)
            if not dead and all(lease.holder for lease in unfinished):
                return ()
            if not self._encoder.usable(coming.binding):
                model, address = coming.binding.model_id, self._encoder.address
                self._wait_for(
                    Unavailable(f"no worker with the encoder {model} can be reached at {address}")
                )
                return ()
            lease = await self._write(partial(self._store.leases.take, holder=self.name, dead=dead))
            if lease is None:
                continue
            for left in dead:
                if left.last == lease.last:
                    logger.warning(
                        "encoding taken over from=%s done=%d of=%d",
                        left.holder,
                        lease.done,
                        lease.texts,
                    )
            texts = await asyncio.to_thread(
                self._store.encoders.pending, coming.id, lease.texts, lease.after, lease.last
            )
            goal = lease.done + len(texts)
            if texts:
                return [
                    _Batch(lease, goal, texts[start : start + TEXTS_PER_CALL])
                    for start in range(0, len(texts), TEXTS_PER_CALL)
                ]
            with suppress(LeaseLost):
                await self._write(
                    partial(self._store.leases.advance, lease=lease, done=0, goal=goal)
                )

    def _dead(self, unfinished: Iterable[Lease]) -> list[Lease]:
        """Return those of others that have stood still for LEASE_SECONDS while this one looked."""
        now = asyncio.get_running_loop().time()
        held = [lease for lease in unfinished if lease.holder not in ("", self.name)]
        before, self._seen = self._seen, {}
        for lease in held:
            key = lease.operation_id, lease.last
            beat, since = before.get(key, (None, now))
            self._seen[key] = lease.beat, since if beat == lease.beat else now
        return [
            lease
            for lease in held
            if now - self._seen[lease.operation_id, lease.last][1] >= LEASE_SECONDS
        ]

    async def _encode(self, coming: BoundEncoder, batch: _Batch) -> Lease | None:
        """Encode a batch and keep the vectors; return the lease if it is lost."""

        async def embed() -> list[Embedded]:
            with within(BULK_SECONDS):
                return await embed_texts(self._encoder, coming, batch.texts, pb.LANE_BULK)

        embedded = await patiently(embed, self._wait_for, PATIENCE_SECONDS)

        def keep(tx: Transaction) -> None:
            lease, count = batch.lease, len(batch.texts)
            self._store.leases.advance(tx, lease, count, batch.goal)
            keep_embedded(self._store, tx, lease.operation_id, coming.id, batch.texts, embedded)

        try:
            await self._write(keep)
        except LeaseLost:
            return batch.lease
        self.waiting = None
        self._advanced.set()
        return None

    @asynccontextmanager
    async def _beating(self) -> AsyncIterator[None]:
        """Give signs of life within the block; after it what is held is left to others."""

        async def beat() -> None:
            while True:
                await asyncio.sleep(BEAT_SECONDS)
                with suppress(*PASSING):
                    await asyncio.wrap_future(
                        self._commit.submit(lambda tx: self._store.leases.beat(tx, self.name))
                    )

        beating = asyncio.create_task(beat())
        try:
            yield
        except BaseException:
            # Not waited for: whoever cannot write loses them by time.
            with suppress(ServiceError):
                self._commit.submit(lambda tx: self._store.leases.give_back(tx, self.name))
            raise
        finally:
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)

    async def _write(self, write: Callable[[Transaction], T]) -> T:
        def attempt() -> Awaitable[T]:
            return asyncio.wrap_future(self._commit.submit(write))

        return await patiently(attempt, self._wait_for, PATIENCE_SECONDS)

    def _wait_for(self, error: ServiceError) -> None:
        self.waiting = error


async def embed_texts(
    encoder: Encoder, coming: BoundEncoder, texts: Sequence[PendingText], lane: pb.Lane
) -> list[Embedded]:
    """Return what becomes of each of the texts, as `Encoder.embed` does."""
    whole = [text_to_encode(pending.title, pending.text) for pending in texts]
    return await encoder.embed(whole, pb.ROLE_ITEM, lane, coming.binding)


def keep_embedded(
    store: RecordStore,
    tx: Transaction,
    operation_id: str,
    encoder_id: int,
    texts: Sequence[PendingText],
    embedded: Sequence[Embedded],
) -> None:
    """Keep the vectors of texts, and note of which there is none. Versions replaced are no more."""
    rows, refused = [], {}
    for pending, each in zip(texts, embedded, strict=True):
        if isinstance(each, ServiceError):
            refused[pending.id] = Refusal(pending.revision, each.code.value[0], str(each))
        else:
            rows.append((pending.id, pending.revision, each))
    store.encoders.put_vectors(tx, encoder_id, rows)
    store.leases.refuse(tx, operation_id, refused)
