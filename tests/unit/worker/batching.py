"""A batcher with an encoder of one line, whose vector of a text is the text's first token."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Generator, Sequence
from contextlib import asynccontextmanager

import numpy as np
from longtail.runtime.errors import ServiceError
from longtail.runtime.tracing import SpanContext, Tracer
from longtail.worker.batcher import Batcher, Embedded, Queued
from longtail.worker.vectors import TokenIds, Vectors
from longtail.worker.waiting import Lane

POISON = 666
LATER = time.monotonic() + 3_600


class Answer:
    """Takes what became of a text, and can be awaited."""

    def __init__(self) -> None:
        self.future: asyncio.Future[Embedded] = asyncio.get_running_loop().create_future()
        self.batcher: Batcher
        self.entry: Queued
        self.lane: Lane
        self.spans: list[SpanContext] = []

    @property
    def done(self) -> bool:
        return self.future.done()

    def contexts(self) -> list[SpanContext]:
        return self.spans

    def embedded(self, embedded: Embedded) -> None:
        self.future.set_result(embedded)

    def failed(self, error: ServiceError) -> None:
        self.future.set_exception(error)

    def cancel(self) -> None:
        """Want it no more."""
        self.future.cancel()
        self.batcher.withdraw(self.entry, self.lane)

    def exception(self) -> BaseException | None:
        return self.future.exception()

    def __await__(self) -> Generator[object, None, Embedded]:
        return self.future.__await__()


Answers = list[Answer]


class FakeEncoder:
    """Remembers the batches it was given; waits for `gate`; fails on the token POISON."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.started = threading.Semaphore(0)
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, batch: Sequence[TokenIds]) -> Vectors:
        self.batches.append([ids[0] for ids in batch])
        self.started.release()
        assert self.gate.wait(30)
        if any(POISON in ids for ids in batch):
            raise ValueError("poison")
        return np.array([[ids[0]] for ids in batch], np.float32)


def text(name: int, length: int = 10) -> list[int]:
    return [name] * length


@asynccontextmanager
async def running(
    encoder: FakeEncoder,
    *,
    slots: int = 1,
    batch_tokens: int = 40,
    max_queued_tokens: int = 1_000,
    tracer: Tracer | None = None,
) -> AsyncIterator[Batcher]:
    batcher = Batcher(
        encoder,
        slots=slots,
        batch_tokens=batch_tokens,
        max_queued_tokens=max_queued_tokens,
        tracer=tracer,
    )
    task = asyncio.create_task(batcher.run())
    try:
        yield batcher
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        encoder.gate.set()


def submit(
    batcher: Batcher,
    *texts: TokenIds,
    lane: Lane = Lane.INTERACTIVE,
    deadline: float = LATER,
    caller: str = "somebody",
) -> Answers:
    """Queue the texts, if they are admitted, as a call of its own."""
    tokens = sum(map(len, texts))
    batcher.admit(texts=len(texts), tokens=tokens, lane=lane, deadline=deadline, caller=caller)
    answers = [Answer() for _ in texts]
    pairs = list(zip(texts, answers, strict=True))
    entries = batcher.submit(pairs, lane=lane, deadline=deadline, caller=caller)
    for answer, entry in zip(answers, entries, strict=True):
        answer.batcher, answer.entry, answer.lane = batcher, entry, lane
    return answers


async def values(answers: Answers) -> list[float]:
    return [float(np.frombuffer((await answer).row, "<f4")[0]) for answer in answers]


async def occupy(batcher: Batcher, encoder: FakeEncoder) -> Answers:
    """Fill one slot with the text 0 until the gate opens."""
    encoder.gate.clear()
    answers = submit(batcher, text(0))
    await asyncio.to_thread(encoder.started.acquire)
    return answers
