"""A batcher with an encoder of one line, whose vector of a text is the text's first token."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import numpy as np
from longtail.worker.batcher import Batcher, Embedded
from longtail.worker.vectors import TokenIds, Vectors
from longtail.worker.waiting import Lane

POISON = 666
LATER = time.monotonic() + 3_600

Answers = list["asyncio.Future[Embedded]"]


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
    encoder: FakeEncoder, *, slots: int = 1, batch_tokens: int = 40, max_queued_tokens: int = 1_000
) -> AsyncIterator[Batcher]:
    batcher = Batcher(
        encoder, slots=slots, batch_tokens=batch_tokens, max_queued_tokens=max_queued_tokens
    )
    task = asyncio.create_task(batcher.run())
    try:
        yield batcher
    finally:
        encoder.gate.set()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def submit(
    batcher: Batcher,
    *texts: TokenIds,
    lane: Lane = Lane.INTERACTIVE,
    deadline: float = LATER,
    caller: str = "somebody",
) -> Answers:
    return batcher.submit(texts, lane=lane, deadline=deadline, caller=caller)


async def values(answers: Answers) -> list[float]:
    return [float(answer.vector[0]) for answer in await asyncio.gather(*answers)]


async def occupy(batcher: Batcher, encoder: FakeEncoder) -> Answers:
    """Fill one slot with the text 0 until the gate opens."""
    encoder.gate.clear()
    answers = submit(batcher, text(0))
    await asyncio.to_thread(encoder.started.acquire)
    return answers
