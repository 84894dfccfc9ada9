"""Batches texts of all callers: when an inference slot is free it takes what waits, up to a budget.

No timer is involved. Under light load a text never waits for company; under heavy load the batches
fill while the slots are busy. What a batch holds is the scheduler's business, and who may wait at
all is admission's; this is what runs them.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from longtail.runtime.errors import DeadlineExceeded, InferenceFailed, ServiceError, Unavailable
from longtail.worker import metrics
from longtail.worker.admission import Admission
from longtail.worker.scheduler import Batch, Scheduler
from longtail.worker.supervisor import Supervisor
from longtail.worker.vectors import TokenIds, Vector, Vectors
from longtail.worker.waiting import Entry, Lane, LaneQueue

logger = logging.getLogger(__name__)

Infer = Callable[[Sequence[TokenIds]], Vectors]

_QUEUE_SECONDS = {lane: metrics.QUEUE_SECONDS.labels(lane.value) for lane in Lane}


@dataclass(frozen=True)
class Embedded:
    """A text's vector, when its inference started (`time.monotonic`) and how long it took."""

    vector: Vector
    started: float
    inference_seconds: float


_Answer: TypeAlias = "asyncio.Future[Embedded]"
_Entry: TypeAlias = Entry[_Answer]


async def _nobody_asks(_: bool) -> None:
    """Stand in for a callback about health."""


class Batcher:
    """Two bounded lanes of texts and the slots that empty them.

    `infer` is called on threads of the batcher's own, at most `slots` times at once, with texts
    whose padded tokens are at most `batch_tokens`, of which at most the share `max_waste` is
    padding; a longer text has a batch to itself. At most `max_queued_tokens` wait. Inferences of
    the bulk lane last about `bulk_seconds` and get at least `bulk_share` of the tokens while the
    interactive lane waits too. `on_health` is told False when a slot died and True when it works
    again. `clock` gives the time that deadlines are in.
    """

    def __init__(
        self,
        infer: Infer,
        *,
        slots: int,
        batch_tokens: int,
        max_waste: float = 0.10,
        max_queued_tokens: int,
        bulk_seconds: float = 0.025,
        bulk_share: float = 0.05,
        on_health: Callable[[bool], Awaitable[None]] = _nobody_asks,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._infer = infer
        self._slots = slots
        self._clock = clock
        self._scheduler: Scheduler[_Answer] = Scheduler(
            slots=slots,
            batch_tokens=batch_tokens,
            max_waste=max_waste,
            bulk_seconds=bulk_seconds,
            bulk_share=bulk_share,
            drop=_give_up,
        )
        self._admission = Admission(self._scheduler, max_queued_tokens=max_queued_tokens)
        self._threads = ThreadPoolExecutor(slots, thread_name_prefix="inference")
        self._supervisor = Supervisor(on_health, clock)
        self._idle: deque[asyncio.Future[None]] = deque()
        self._stopped = False
        for lane, queue in self._scheduler.lanes.items():
            metrics.QUEUED_TEXTS.labels(lane.value).set_function(partial(getattr, queue, "texts"))
            metrics.QUEUED_TOKENS.labels(lane.value).set_function(partial(getattr, queue, "tokens"))

    def admit(self, *, texts: int, tokens: int, lane: Lane, deadline: float, caller: str) -> None:
        """Raise when a call of `tokens` cannot be taken now.

        Raises Overloaded when it would wait too long or there is no room, DeadlineExceeded when
        `deadline`, in seconds of the clock, has passed, and Unavailable when the worker stops.
        """
        if self._stopped:
            raise Unavailable("the worker is stopping")
        self._admission.check(
            texts=texts,
            tokens=tokens,
            lane=lane,
            deadline=deadline,
            caller=caller,
            now=self._clock(),
        )

    def submit(
        self, texts: Sequence[TokenIds], *, lane: Lane, deadline: float, caller: str
    ) -> list[_Answer]:
        """Queue all texts, each of at least one token, and return their answers in order.

        Raises what `admit` raises, and then none is queued. A text whose answer is cancelled leaves
        the queue. An answer fails with DeadlineExceeded, InferenceFailed or Unavailable.
        """
        tokens = sum(map(len, texts))
        self.admit(texts=len(texts), tokens=tokens, lane=lane, deadline=deadline, caller=caller)
        new_answer = asyncio.get_running_loop().create_future
        queue, now = self._scheduler.lanes[lane], self._clock()
        answers: list[_Answer] = []
        for ids in texts:
            answer: _Answer = new_answer()
            entry = queue.add(ids, answer, deadline=deadline, caller=caller, now=now)
            answer.add_done_callback(partial(self._answered, queue, entry))
            answers.append(answer)
        self._wake()
        return answers

    async def run(self) -> None:
        """Empty the queue until cancelled; end with an ExceptionGroup when slots die repeatedly."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._slots):
                    group.create_task(self._supervisor.keep(self._slot))
        finally:
            self._stopped = True
            for queue in self._scheduler.lanes.values():
                for entry in queue.clear():
                    _refuse(entry, Unavailable("the worker is stopping"))
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def _slot(self) -> None:
        while True:
            batch = await self._next_batch()
            try:
                # One slot is woken for each call; what it leaves is the next one's.
                if self._scheduler.texts:
                    self._wake()
                waited = batch.started - batch.entries[0].queued
                _QUEUE_SECONDS[batch.lane].observe(waited)
                await self._execute(_unanswered(batch.entries))
            finally:
                self._scheduler.finished(batch)
                for entry in batch.entries:
                    _refuse(
                        entry, Unavailable("inference broke off; nothing is wrong with the text")
                    )

    async def _next_batch(self) -> Batch[_Answer]:
        while (batch := self._scheduler.next_batch(self._clock())) is None:
            woken = asyncio.get_running_loop().create_future()
            self._idle.append(woken)
            await woken
        return batch

    def _wake(self) -> None:
        while self._idle:
            woken = self._idle.popleft()
            if not woken.done():
                woken.set_result(None)
                return

    async def _execute(self, entries: list[_Entry]) -> None:
        """Answer every entry; when they fail together, halve them until the bad ones are alone."""
        if not entries:
            return
        try:
            await self._infer_batch(entries)
        except Exception as error:
            if len(entries) == 1:
                logger.exception("inference failed tokens=%d", entries[0].length)
                metrics.DROPPED.labels("failed").inc()
                _refuse(entries[0], InferenceFailed(f"the encoder failed ({type(error).__name__})"))
                return
            logger.warning("inference of %d texts failed, trying halves of them", len(entries))
            middle = len(entries) // 2
            for half in (entries[:middle], entries[middle:]):
                await self._execute(self._in_time(_unanswered(half)))

    async def _infer_batch(self, entries: list[_Entry]) -> None:
        loop = asyncio.get_running_loop()
        texts = [entry.ids for entry in entries]
        started = self._clock()
        vectors = await loop.run_in_executor(self._threads, self._infer, texts)
        ended = self._clock()
        if len(vectors) != len(texts):
            raise ValueError(f"the encoder gave {len(vectors)} vectors for {len(texts)} texts")
        self._observe(entries, started, ended)
        seconds = ended - started
        for entry, vector in zip(entries, vectors, strict=True):
            if not entry.answer.done():
                entry.answer.set_result(Embedded(vector, started, seconds))

    def _observe(self, entries: list[_Entry], started: float, ended: float) -> None:
        tokens = sum(entry.length for entry in entries)
        padded = max(entry.length for entry in entries) * len(entries)
        self._scheduler.cost.observe(tokens, padded, ended - started)
        metrics.BATCH_TEXTS.observe(len(entries))
        metrics.BATCH_TOKENS.observe(padded)
        metrics.TOKENS.inc(tokens)
        metrics.PADDING_TOKENS.inc(padded - tokens)
        metrics.INFERENCE_SECONDS.observe(ended - started)
        metrics.DEADLINE_MISSES.inc(sum(entry.deadline < ended for entry in entries))

    def _in_time(self, entries: list[_Entry]) -> list[_Entry]:
        now = self._clock()
        for entry in entries:
            if entry.deadline <= now:
                _give_up(entry, "expired")
        return [entry for entry in entries if entry.deadline > now]

    def _answered(self, queue: LaneQueue[_Answer], entry: _Entry, _: _Answer) -> None:
        """Take a text out whose caller no longer wants it; gRPC cancels at the deadline too."""
        if entry.waiting:
            queue.discard(entry)
            reason = "expired" if entry.deadline <= self._clock() else "cancelled"
            metrics.DROPPED.labels(reason).inc()


def _unanswered(entries: list[_Entry]) -> list[_Entry]:
    """Leave out what was cancelled after it was taken from the queue."""
    wanted = [entry for entry in entries if not entry.answer.done()]
    if len(wanted) < len(entries):
        metrics.DROPPED.labels("cancelled").inc(len(entries) - len(wanted))
    return wanted


def _give_up(entry: _Entry, reason: str) -> None:
    metrics.DROPPED.labels(reason).inc()
    _refuse(entry, DeadlineExceeded("the deadline passed, or would have, before inference ended"))


def _refuse(entry: _Entry, error: ServiceError) -> None:
    if not entry.answer.done():
        entry.answer.set_exception(error)
