"""What the batcher does when the encoder fails, a slot dies or the process stops."""

import asyncio
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from longtail.runtime.errors import DeadlineExceeded, InferenceFailed, Unavailable
from longtail.worker.batcher import Batcher
from longtail.worker.scheduler import Scheduler
from longtail.worker.vectors import TokenIds, Vectors
from longtail.worker.waiting import Lane

from tests.unit.worker.batching import (
    POISON,
    FakeEncoder,
    occupy,
    running,
    submit,
    text,
    values,
)


class Health:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[bool] = []

    async def __call__(self, serving: bool) -> None:
        self.told.append(serving)


@pytest.mark.parametrize("position", range(4))
async def test_a_poisoned_text_fails_alone(position: int) -> None:
    encoder = FakeEncoder()
    texts = [text(1), text(2), text(3)]
    texts.insert(position, text(POISON))
    async with running(encoder) as batcher:
        await occupy(batcher, encoder)
        answers = submit(batcher, *texts)
        encoder.gate.set()
        poisoned = answers.pop(position)
        assert await values(answers) == [1, 2, 3]
        with pytest.raises(InferenceFailed, match="ValueError"):
            await poisoned
        assert await values(submit(batcher, text(9))) == [9]


async def test_one_poisoned_text_costs_a_halving_not_a_run_for_each_text() -> None:
    encoder = FakeEncoder()
    async with running(encoder, batch_tokens=640) as batcher:
        texts = [text(i) for i in range(1, 64)]
        answers = submit(batcher, *texts, text(POISON))
        await asyncio.wait([answer.future for answer in answers])
        assert sum(answer.exception() is not None for answer in answers) == 1
    assert len(encoder.batches) == 1 + 2 * 6


async def test_after_a_failure_only_those_who_still_wait_are_tried_again() -> None:
    encoder = FakeEncoder()
    now = 0.0
    batcher = Batcher(
        encoder, slots=1, batch_tokens=1_000, max_queued_tokens=1_000, clock=lambda: now
    )
    task = asyncio.create_task(batcher.run())
    encoder.gate.clear()
    poisoned, gone, stays = submit(batcher, text(POISON), text(1), text(2), deadline=100)
    (late,) = submit(batcher, text(3), deadline=10)
    await asyncio.to_thread(encoder.started.acquire)
    gone.cancel()
    now = 20.0
    encoder.gate.set()
    assert await values([stays]) == [2]
    assert encoder.batches == [[POISON, 1, 2, 3], [POISON], [2]]
    assert isinstance(poisoned.exception(), InferenceFailed)
    assert isinstance(late.exception(), DeadlineExceeded)
    task.cancel()


async def test_a_wrong_number_of_vectors_is_a_failure() -> None:
    def short(batch: Sequence[TokenIds]) -> Vectors:
        return np.zeros((len(batch) - 1, 1), np.float32)

    batcher = Batcher(short, slots=1, batch_tokens=40, max_queued_tokens=100)
    task = asyncio.create_task(batcher.run())
    answers = submit(batcher, text(1), text(2))
    for outcome in await asyncio.gather(*answers, return_exceptions=True):
        assert isinstance(outcome, InferenceFailed)
    task.cancel()


async def test_the_end_of_the_run_answers_who_waits_and_refuses_who_comes() -> None:
    encoder = FakeEncoder()
    async with running(encoder) as batcher:
        taken = await occupy(batcher, encoder)
        waiting = submit(batcher, text(1), lane=Lane.BULK)
    for answer in [*taken, *waiting]:
        assert isinstance(answer.exception(), Unavailable)
    with pytest.raises(Unavailable):
        submit(batcher, text(2))


def die(times: int) -> Callable[[], None]:
    """Return a function that fails so many times, as only a fault of the slot itself would."""
    left = times

    def maybe_die() -> None:
        nonlocal left
        if left:
            left -= 1
            raise MemoryError("no memory to count with")

    return maybe_die


async def test_a_slot_that_dies_is_restarted_and_its_health_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    health, maybe_die = Health(), die(1)
    next_batch = Scheduler.next_batch

    def broken(scheduler: Scheduler[object], now: float) -> object:
        maybe_die()
        return next_batch(scheduler, now)

    monkeypatch.setattr(Scheduler, "next_batch", broken)
    batcher = Batcher(
        FakeEncoder(), slots=2, batch_tokens=40, max_queued_tokens=100, on_health=health
    )
    task = asyncio.create_task(batcher.run())
    assert await values(submit(batcher, text(1))) == [1]
    assert health.told == [False, True]
    task.cancel()


async def test_the_texts_in_the_hand_of_a_dying_slot_are_unavailable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    maybe_die = die(1)

    def broken(batcher: Batcher, entries: Sequence[object]) -> None:
        maybe_die()
        execute(batcher, entries)  # type: ignore[arg-type]  # only passed on

    execute = Batcher._execute
    monkeypatch.setattr(Batcher, "_execute", broken)
    async with running(FakeEncoder()) as batcher:
        (lost,) = submit(batcher, text(1))
        with pytest.raises(Unavailable):
            await lost
        assert await values(submit(batcher, text(2))) == [2]


async def test_slots_that_die_again_and_again_end_the_run_and_answer_everybody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> None:
        raise MemoryError("no memory to count with")

    monkeypatch.setattr(Scheduler, "next_batch", broken)
    health = Health()
    batcher = Batcher(
        FakeEncoder(), slots=1, batch_tokens=10, max_queued_tokens=100, on_health=health
    )
    answers = submit(batcher, text(1), text(2))
    with pytest.raises(ExceptionGroup) as died:
        await batcher.run()
    assert died.group_contains(MemoryError)
    assert health.told == [False, True, False, True, False, True, False]
    for answer in answers:
        assert isinstance(answer.exception(), Unavailable)
    with pytest.raises(Unavailable):
        submit(batcher, text(3))
