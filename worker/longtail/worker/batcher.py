"""Batches texts of all callers: when an inference slot is free it takes what waits, up to a budget.

No timer is involved. Under light load a text never waits for company; under heavy load the batches
fill while the slots are busy. What a batch holds is the scheduler's business, and who may wait at
all is admission's; this is what runs them. A slot is a thread that cuts its batches itself: the
event loop, which has calls to serve, would keep it waiting.
"""

import asyncio
import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from typing import NamedTuple, Protocol, TypeAlias

from longtail.runtime.errors import DeadlineExceeded, InferenceFailed, ServiceError, Unavailable
from longtail.runtime.tracing import SpanContext, Tracer
from longtail.worker import metrics
from longtail.worker.admission import Admission
from longtail.worker.scheduler import Batch, Scheduler
from longtail.worker.supervisor import Supervisor
from longtail.worker.vectors import TokenIds, Vectors
from longtail.worker.waiting import Entry, Lane

logger = logging.getLogger(__name__)

# Of a batch's span, as many as OpenTelemetry's SDKs keep.
MOST_LINKS = 128

Infer = Callable[[Sequence[TokenIds]], Vectors]

_QUEUE_SECONDS = {lane: metrics.QUEUE_SECONDS.labels(lane.value) for lane in Lane}
_STOPPING = "the worker is stopping"
# Levels of niceness by which the cores go to who serves calls before who computes.
_NICE = 5


class Embedded(NamedTuple):
    """A text's vector as little-endian float32, when its inference started and how long it took.

    Times are in seconds, of `time.monotonic`. `batch` is the span of the inference, if it has one.
    """

    row: bytes
    started: float
    inference_seconds: float
    batch: SpanContext | None = None


class Receiver(Protocol):
    """Who is told on the event loop, once, what became of a text."""

    @property
    def done(self) -> bool:
        """Say whether it was told, or wants to hear nothing any more."""

    def contexts(self) -> list[SpanContext]:
        """Return the spans of traced calls that want it, on the thread of an inference."""

    def embedded(self, embedded: Embedded) -> None:
        """Take the vector."""

    def failed(self, error: ServiceError) -> None:
        """Hear that there will be none."""


Queued: TypeAlias = Entry[Receiver]


async def _nobody_asks(_: bool) -> None:
    """Stand in for a callback about health."""


class Batcher:
    """Two bounded lanes of texts and the slots that empty them.

    `infer` is called on threads of the batcher's own, at most `slots` times at once, with texts
    whose padded tokens are at most `batch_tokens`, of which at most the share `max_waste` is
    padding; a longer text has a batch to itself. At most `max_queued_tokens` wait. Inferences of
    the bulk lane last about `bulk_seconds` and get at least `bulk_share` of the tokens while the
    interactive lane waits too. `on_health` is told False when a slot died and True when it works
    again. `clock` gives the time that deadlines are in. With a `tracer` an inference has a span of
    its own, with links to the calls whose texts are in it.
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
        tracer: Tracer | None = None,
    ) -> None:
        self._tracer = tracer
        self._infer = infer
        self._slots = slots
        self._clock = clock
        self._scheduler: Scheduler[Receiver] = Scheduler(
            slots=slots,
            batch_tokens=batch_tokens,
            max_waste=max_waste,
            bulk_seconds=bulk_seconds,
            bulk_share=bulk_share,
            drop=self._give_up,
        )
        self._admission = Admission(self._scheduler, max_queued_tokens=max_queued_tokens)
        self._threads = ThreadPoolExecutor(
            slots, thread_name_prefix="inference", initializer=_step_back
        )
        self._supervisor = Supervisor(on_health, clock)
        # Held by whoever uses the scheduler; slots without work wait for it to change.
        self._queue = threading.Condition()
        self._stopped = False
        # That of `run`, where receivers are told.
        self._loop: asyncio.AbstractEventLoop
        for lane, queue in self._scheduler.lanes.items():
            metrics.QUEUED_TEXTS.labels(lane.value).set_function(partial(getattr, queue, "texts"))
            metrics.QUEUED_TOKENS.labels(lane.value).set_function(partial(getattr, queue, "tokens"))

    def admit(self, *, texts: int, tokens: int, lane: Lane, deadline: float, caller: str) -> None:
        """Raise when a call of `tokens` cannot be taken now.

        Raises Overloaded when it would wait too long or there is no room, DeadlineExceeded when
        `deadline`, in seconds of the clock, has passed, and Unavailable when the worker stops.
        """
        if self._stopped:
            raise Unavailable(_STOPPING)
        with self._queue:
            self._admission.check(
                texts=texts,
                tokens=tokens,
                lane=lane,
                deadline=deadline,
                caller=caller,
                now=self._clock(),
            )

    def submit(
        self,
        texts: Sequence[tuple[TokenIds, Receiver]],
        *,
        lane: Lane,
        deadline: float,
        caller: str,
    ) -> list[Queued]:
        """Queue all texts, each of at least one token, and return their places in the queue.

        Whether there is room is for `admit` to say. Raises Unavailable when the worker stops.
        A text may fail with DeadlineExceeded, InferenceFailed or Unavailable.
        """
        with self._queue:
            if self._stopped:
                raise Unavailable(_STOPPING)
            queue, now = self._scheduler.lanes[lane], self._clock()
            entries = [
                queue.add(ids, receiver, deadline=deadline, caller=caller, now=now)
                for ids, receiver in texts
            ]
            self._queue.notify()
        return entries

    def withdraw(self, entry: Queued, lane: Lane) -> None:
        """Take out a text that nobody wants any more, if it still waits."""
        with self._queue:
            if not entry.waiting:
                return
            self._scheduler.lanes[lane].discard(entry)
        # gRPC cancels at the deadline too.
        reason = "expired" if entry.deadline <= self._clock() else "cancelled"
        metrics.DROPPED.labels(reason).inc()

    async def run(self) -> None:
        """Empty the queue until cancelled; end with an ExceptionGroup when slots die repeatedly."""
        self._loop = asyncio.get_running_loop()
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._slots):
                    group.create_task(self._supervisor.keep(self._slot))
        finally:
            with self._queue:
                self._stopped = True
                entries = [entry for batch in self._scheduler.running for entry in batch.entries]
                for queue in self._scheduler.lanes.values():
                    entries += queue.clear()
                self._queue.notify_all()
            _tell(entries, Unavailable(_STOPPING))
            self._threads.shutdown(wait=False)

    async def _slot(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._threads, self._work)

    def _work(self) -> None:
        """Compute what waits, on a slot's thread, until the batcher stops."""
        while batch := self._next_batch():
            try:
                self._execute(batch.entries)
            except BaseException:
                lost = Unavailable("inference broke off; nothing is wrong with the text")
                self._report(batch.entries, lost)
                raise
            finally:
                with self._queue:
                    self._scheduler.finished(batch)

    def _next_batch(self) -> Batch[Receiver] | None:
        """Wait for texts and cut a batch of them; None when the batcher stops."""
        with self._queue:
            while not self._stopped:
                batch = self._scheduler.next_batch(self._clock())
                if batch is not None:
                    # One slot is woken for each call; what it leaves is the next one's.
                    if self._scheduler.texts:
                        self._queue.notify()
                    first = batch.entries[0]
                    calls = first.answer.contexts() if self._tracer is not None else ()
                    exemplar = calls[0].exemplar if calls else None
                    _QUEUE_SECONDS[batch.lane].observe(batch.started - first.queued, exemplar)
                    return batch
                self._queue.wait()
        return None

    def _execute(self, entries: list[Queued]) -> None:
        """Answer every entry; when they fail together, halve them until the bad ones are alone."""
        started = self._clock()
        try:
            rows = self._rows(entries)
        except Exception as error:
            if len(entries) == 1:
                logger.exception("inference failed tokens=%d", entries[0].length)
                metrics.DROPPED.labels("failed").inc()
                failed = InferenceFailed(f"the encoder failed ({type(error).__name__})")
                self._report(entries, failed)
                return
            logger.warning("inference of %d texts failed, trying halves of them", len(entries))
            middle = len(entries) // 2
            for half in (entries[:middle], entries[middle:]):
                if wanted := self._still_wanted(half):
                    self._execute(wanted)
            return
        ended = self._clock()
        seconds = ended - started
        span = self._span(entries, started, ended)
        self._report(entries, [Embedded(row, started, seconds, span) for row in rows])
        self._observe(entries, ended, seconds, None if span is None else span.exemplar)

    def _rows(self, entries: list[Queued]) -> list[bytes]:
        vectors = self._infer([entry.ids for entry in entries])
        if len(vectors) != len(entries):
            raise ValueError(f"the encoder gave {len(vectors)} vectors for {len(entries)} texts")
        # Copies: a row of the batch would keep all of the batch in memory.
        return [vector.tobytes() for vector in vectors.astype("<f4", copy=False)]

    def _span(self, entries: list[Queued], started: float, ended: float) -> SpanContext | None:
        """Send the span of an inference; None when it is of no traced call."""
        if self._tracer is None:
            return None
        links = dict.fromkeys(chain.from_iterable(entry.answer.contexts() for entry in entries))
        if not links:
            return None
        padded = max(entry.length for entry in entries) * len(entries)
        return self._tracer.note_batch(
            "batch",
            started,
            ended,
            attributes={"longtail.texts": len(entries), "longtail.padded_tokens": padded},
            links=list(links)[:MOST_LINKS],
        )

    def _observe(
        self, entries: list[Queued], ended: float, seconds: float, exemplar: dict[str, str] | None
    ) -> None:
        tokens = sum(entry.length for entry in entries)
        padded = max(entry.length for entry in entries) * len(entries)
        with self._queue:
            self._scheduler.cost.observe(tokens, padded, seconds)
        metrics.BATCH_TEXTS.observe(len(entries))
        metrics.BATCH_TOKENS.observe(padded)
        metrics.TOKENS.inc(tokens)
        metrics.PADDING_TOKENS.inc(padded - tokens)
        metrics.INFERENCE_SECONDS.observe(seconds, exemplar)
        metrics.DEADLINE_MISSES.inc(sum(entry.deadline < ended for entry in entries))

    def _still_wanted(self, entries: list[Queued]) -> list[Queued]:
        """Leave out what was cancelled or ran out of time after it was taken from the queue."""
        now = self._clock()
        wanted = []
        for entry in entries:
            if entry.answer.done:
                metrics.DROPPED.labels("cancelled").inc()
            elif entry.deadline <= now:
                self._give_up(entry, "expired")
            else:
                wanted.append(entry)
        return wanted

    def _give_up(self, entry: Queued, reason: str) -> None:
        metrics.DROPPED.labels(reason).inc()
        late = DeadlineExceeded("the deadline passed, or would have, before inference ended")
        self._report([entry], late)

    def _report(self, entries: list[Queued], outcome: list[Embedded] | ServiceError) -> None:
        """Let the event loop tell what became of the entries, all in one go."""
        # The loop is closed when the process ends during an inference.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(_tell, entries, outcome)


def _step_back() -> None:
    """Let the event loop go first: under overload it says no in milliseconds, and computes as much.

    Elsewhere than on Linux niceness is the whole process's.
    """
    if sys.platform == "linux":
        os.nice(_NICE)


def _tell(entries: list[Queued], outcome: list[Embedded] | ServiceError) -> None:
    if isinstance(outcome, ServiceError):
        for entry in entries:
            if not entry.answer.done:
                entry.answer.failed(outcome)
        return
    for entry, embedded in zip(entries, outcome, strict=True):
        if not entry.answer.done:
            entry.answer.embedded(embedded)
