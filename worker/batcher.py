"""Batches texts of all callers: when an inference slot is free it takes what waits, up to a budget.

No timer is involved. Under light load a text never waits for company; under heavy load the batches
fill while the slots are busy. The budget is in padded tokens, since those are what is computed.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from runtime.errors import DeadlineExceeded, InferenceFailed, Overloaded, ServiceError, Unavailable
from worker import metrics
from worker.vectors import TokenIds, Vector, Vectors

logger = logging.getLogger(__name__)

Infer = Callable[[Sequence[TokenIds]], Vectors]

# How much the latest inference counts in the estimate of the speed.
_SMOOTHING = 0.1
_MIN_RETRY_SECONDS, _MAX_RETRY_SECONDS = 0.05, 5.0


@dataclass(frozen=True)
class Embedded:
    """A text's vector, when its inference started (`time.monotonic`) and how long it took."""

    vector: Vector
    started: float
    inference_seconds: float


@dataclass(frozen=True)
class _Entry:
    ids: TokenIds
    deadline: float
    queued: float
    answer: "asyncio.Future[Embedded]"

    def refuse(self, error: ServiceError) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class Batcher:
    """A bounded queue of texts and the slots that empty it.

    `infer` is called on threads of the batcher's own, at most `slots` times at once. A text longer
    than `batch_tokens` has a batch to itself. At most `max_queued_tokens` wait, but a call that
    finds the queue empty is taken whatever its size, so that none is refused for ever.
    """

    def __init__(
        self, infer: Infer, *, slots: int, batch_tokens: int, max_queued_tokens: int
    ) -> None:
        self._infer = infer
        self._slots = slots
        self._batch_tokens = batch_tokens
        self._max_queued_tokens = max_queued_tokens
        self._threads = ThreadPoolExecutor(slots, thread_name_prefix="inference")
        self._queue: deque[_Entry] = deque()
        self._queued_tokens = 0
        self._arrived = asyncio.Event()
        self._stopped = False
        self._seconds_per_token = 0.0

    def admit(self, tokens: int) -> None:
        """Raise when `tokens` more cannot be taken: Overloaded, or Unavailable after the end."""
        if self._stopped:
            raise Unavailable("the worker is stopping")
        if self._queue and self._queued_tokens + tokens > self._max_queued_tokens:
            metrics.DROPPED.labels("overloaded").inc()
            wait = self._queued_tokens * self._seconds_per_token / self._slots
            raise Overloaded(
                f"{self._queued_tokens} tokens are waiting for inference",
                retry_seconds=min(max(wait, _MIN_RETRY_SECONDS), _MAX_RETRY_SECONDS),
            )

    async def embed(self, texts: Sequence[TokenIds], deadline: float) -> list[Embedded]:
        """Return what became of each text, in order; all are queued or none is.

        `deadline` is in seconds of `time.monotonic`; texts that it overtakes are not computed.
        Raises Overloaded, DeadlineExceeded, InferenceFailed or Unavailable. When the caller is
        cancelled, its texts leave the queue.
        """
        self.admit(sum(map(len, texts)))
        loop, now = asyncio.get_running_loop(), time.monotonic()
        entries = [_Entry(ids, deadline, now, loop.create_future()) for ids in texts]
        self._queue.extend(entries)
        self._count_queued(sum(map(len, texts)))
        self._arrived.set()
        try:
            return await asyncio.gather(*(entry.answer for entry in entries))
        finally:
            # After one text's failure nobody waits for the others.
            for entry in entries:
                entry.answer.cancel()

    async def run(self) -> None:
        """Empty the queue until cancelled; an error ends it, and with it the process."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._slots):
                    group.create_task(self._slot())
        finally:
            self._stopped = True
            for entry in self._queue:
                entry.refuse(Unavailable("the worker is stopping"))
            self._queue.clear()
            self._count_queued(-self._queued_tokens)
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def _slot(self) -> None:
        while True:
            batch = await self._next_batch()
            try:
                await self._execute(batch)
            finally:
                for entry in batch:
                    entry.refuse(Unavailable("the worker is stopping"))

    async def _next_batch(self) -> list[_Entry]:
        while not (batch := self._cut_batch()):
            self._arrived.clear()
            await self._arrived.wait()
        return batch

    def _cut_batch(self) -> list[_Entry]:
        """Take the longest run of waiting texts that fits the budget, leaving out dead ones."""
        batch: list[_Entry] = []
        longest = 0
        now = time.monotonic()
        while self._queue:
            entry = self._queue[0]
            if self._is_wanted(entry, now):
                longest = max(longest, len(entry.ids))
                if batch and longest * (len(batch) + 1) > self._batch_tokens:
                    break
                batch.append(entry)
            self._queue.popleft()
            self._count_queued(-len(entry.ids))
        return batch

    def _is_wanted(self, entry: _Entry, now: float) -> bool:
        if entry.answer.done():
            metrics.DROPPED.labels("cancelled").inc()
            return False
        if entry.deadline <= now:
            metrics.DROPPED.labels("expired").inc()
            entry.refuse(DeadlineExceeded("the deadline passed before inference"))
            return False
        return True

    async def _execute(self, batch: Sequence[_Entry]) -> None:
        """Answer every entry of the batch.

        When it fails, each is tried alone: one bad text must not fail its neighbours.
        """
        try:
            await self._infer_batch(batch)
        except Exception as error:
            if len(batch) == 1:
                logger.exception("inference failed tokens=%d", len(batch[0].ids))
                metrics.DROPPED.labels("failed").inc()
                batch[0].refuse(InferenceFailed(f"the encoder failed ({type(error).__name__})"))
                return
            logger.warning("inference of %d texts failed, trying each alone", len(batch))
            for entry in batch:
                if self._is_wanted(entry, time.monotonic()):
                    await self._execute([entry])

    async def _infer_batch(self, batch: Sequence[_Entry]) -> None:
        loop = asyncio.get_running_loop()
        texts = [entry.ids for entry in batch]
        started = time.monotonic()
        vectors = await loop.run_in_executor(self._threads, self._infer, texts)
        seconds = time.monotonic() - started
        self._observe(batch, started, seconds)
        for entry, vector in zip(batch, vectors, strict=True):
            if not entry.answer.done():
                entry.answer.set_result(Embedded(vector, started, seconds))

    def _observe(self, batch: Sequence[_Entry], started: float, seconds: float) -> None:
        tokens = sum(len(entry.ids) for entry in batch)
        padded = max(len(entry.ids) for entry in batch) * len(batch)
        speed = seconds / tokens
        weight = _SMOOTHING if self._seconds_per_token else 1.0
        self._seconds_per_token += weight * (speed - self._seconds_per_token)
        metrics.BATCH_TEXTS.observe(len(batch))
        metrics.TOKENS.inc(tokens)
        metrics.PADDING_TOKENS.inc(padded - tokens)
        metrics.INFERENCE_SECONDS.observe(seconds)
        for entry in batch:
            metrics.QUEUE_SECONDS.observe(started - entry.queued)

    def _count_queued(self, tokens: int) -> None:
        self._queued_tokens += tokens
        metrics.QUEUED_TOKENS.set(self._queued_tokens)
