"""The batcher with an encoder of one line, whose vector of a text is the text's first token."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import numpy as np
import pytest

from runtime.errors import DeadlineExceeded, InferenceFailed, Overloaded, Unavailable
from worker.batcher import Batcher
from worker.vectors import TokenIds, Vectors

POISON = 666
LATER = time.monotonic() + 3_600


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
    encoder: FakeEncoder, *, slots: int = 1, batch_tokens: int = 40, max_queued_tokens: int = 100
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


async def occupy(batcher: Batcher, encoder: FakeEncoder) -> "asyncio.Task[list[float]]":
    """Fill the only slot with the text 0 until the gate opens."""
    encoder.gate.clear()
    task = asyncio.create_task(embed(batcher, text(0)))
    await asyncio.to_thread(encoder.started.acquire)
    return task


async def embed(batcher: Batcher, *texts: TokenIds, deadline: float = LATER) -> list[float]:
    return [float(answer.vector[0]) for answer in await batcher.embed(texts, deadline)]


async def queued(batcher: Batcher, *texts: TokenIds) -> "asyncio.Task[list[float]]":
    task = asyncio.create_task(embed(batcher, *texts))
    await asyncio.sleep(0)
    return task


async def test_a_lone_text_is_not_kept_waiting_for_others() -> None:
    encoder = FakeEncoder()
    async with running(encoder) as batcher:
        assert await embed(batcher, text(7)) == [7]
    assert encoder.batches == [[7]]


async def test_what_waits_is_batched_across_callers_within_the_budget() -> None:
    encoder = FakeEncoder()
    async with running(encoder) as batcher:
        first = await occupy(batcher, encoder)
        callers = [await queued(batcher, text(i)) for i in range(1, 7)]
        encoder.gate.set()
        assert await asyncio.gather(first, *callers) == [[i] for i in range(7)]
    assert encoder.batches == [[0], [1, 2, 3, 4], [5, 6]]


async def test_the_budget_counts_padding() -> None:
    encoder = FakeEncoder()
    async with running(encoder) as batcher:
        await occupy(batcher, encoder)
        # 2 texts of 4 tokens and one of 20 are 28 tokens, but 60 when padded.
        caller = await queued(batcher, text(1, 4), text(2, 4), text(3, 20))
        encoder.gate.set()
        assert await caller == [1, 2, 3]
    assert encoder.batches == [[0], [1, 2], [3]]


async def test_a_text_beyond_the_budget_has_a_batch_to_itself() -> None:
    encoder = FakeEncoder()
    async with running(encoder) as batcher:
        assert await embed(batcher, text(1), text(2, 90), text(3)) == [1, 2, 3]
    assert encoder.batches == [[1], [2], [3]]


async def test_slots_work_at_once() -> None:
    encoder = FakeEncoder()
    encoder.gate.clear()
    async with running(encoder, slots=2, batch_tokens=10) as batcher:
        caller = await queued(batcher, text(1), text(2), text(3))
        for _ in range(2):
            await asyncio.to_thread(encoder.started.acquire)
        assert sorted(encoder.batches) == [[1], [2]]
        encoder.gate.set()
        assert await caller == [1, 2, 3]


async def test_a_cancelled_caller_is_not_worked_for() -> None:
    encoder = FakeEncoder()
    async with running(encoder) as batcher:
        await occupy(batcher, encoder)
        gone, stays = await queued(batcher, text(1)), await queued(batcher, text(2))
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        encoder.gate.set()
        assert await stays == [2]
    assert encoder.batches == [[0], [2]]


async def test_an_expired_caller_is_told_and_not_worked_for() -> None:
    encoder = FakeEncoder()
    async with running(encoder) as batcher:
        await occupy(batcher, encoder)
        late = asyncio.create_task(embed(batcher, text(1), deadline=time.monotonic()))
        stays = await queued(batcher, text(2))
        encoder.gate.set()
        with pytest.raises(DeadlineExceeded):
            await late
        assert await stays == [2]
    assert encoder.batches == [[0], [2]]


async def test_a_full_queue_refuses_at_once_and_takes_again_when_it_empties() -> None:
    encoder = FakeEncoder()
    async with running(encoder) as batcher:
        await occupy(batcher, encoder)
        waiting = await queued(batcher, text(1, 60))
        with pytest.raises(Overloaded, match="60 tokens are waiting") as refused:
            await embed(batcher, text(2, 41))
        assert refused.value.retry_seconds > 0
        fits = await queued(batcher, text(3, 40))
        encoder.gate.set()
        assert (await waiting, await fits) == ([1], [3])
        assert await embed(batcher, text(2, 41)) == [2]


async def test_a_call_larger_than_the_queue_is_taken_when_nothing_waits() -> None:
    encoder = FakeEncoder()
    async with running(encoder) as batcher:
        answers = await embed(batcher, *(text(i) for i in range(30)))
    assert answers == list(range(30))


async def test_a_poisoned_text_fails_its_caller_alone() -> None:
    encoder = FakeEncoder()
    async with running(encoder) as batcher:
        await occupy(batcher, encoder)
        before = await queued(batcher, text(1))
        poisoned = await queued(batcher, text(POISON))
        after = await queued(batcher, text(2))
        encoder.gate.set()
        assert (await before, await after) == ([1], [2])
        with pytest.raises(InferenceFailed, match="ValueError"):
            await poisoned
        assert await embed(batcher, text(3)) == [3]
    assert encoder.batches == [[0], [1, POISON, 2], [1], [POISON], [2], [3]]


async def test_a_wrong_number_of_vectors_is_a_failure() -> None:
    def short(batch: Sequence[TokenIds]) -> Vectors:
        return np.zeros((len(batch) - 1, 1), np.float32)

    batcher = Batcher(short, slots=1, batch_tokens=40, max_queued_tokens=100)
    task = asyncio.create_task(batcher.run())
    with pytest.raises(InferenceFailed):
        await embed(batcher, text(1), text(2))
    task.cancel()


async def test_the_death_of_a_slot_ends_the_run_and_answers_everybody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> None:
        raise MemoryError("no memory to count with")

    encoder = FakeEncoder()
    batcher = Batcher(encoder, slots=2, batch_tokens=10, max_queued_tokens=100)
    # The slot's own code, outside of what it guards.
    monkeypatch.setattr(batcher, "_cut_batch", broken)
    caller = asyncio.create_task(embed(batcher, text(1), text(2)))
    await asyncio.sleep(0)
    with pytest.raises(ExceptionGroup) as died:
        await batcher.run()
    assert died.group_contains(MemoryError)
    with pytest.raises(Unavailable):
        await caller
    with pytest.raises(Unavailable):
        await embed(batcher, text(3))
