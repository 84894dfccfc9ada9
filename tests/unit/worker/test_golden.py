import asyncio
import contextlib

import numpy as np
import pytest
from longtail.runtime.errors import (
    DeadlineExceeded,
    InferenceFailed,
    Overloaded,
    ServiceError,
    Unavailable,
)
from longtail.worker import golden
from longtail.worker.artefact import Golden
from longtail.worker.golden import GoldenError
from longtail.worker.tokenizer import Role
from longtail.worker.vectors import Vector

UNIT = np.array([1, 0], np.float32)
WRONG = np.array([0, 1], np.float32)
GOLDEN = [Golden("a film", "item", UNIT)]
BUSY = [Overloaded("full", retry_seconds=1), DeadlineExceeded("late")]
BROKEN = [InferenceFailed("the encoder failed"), Unavailable("stopping")]


class Device:
    """Gives, or fails with, one thing after the other; the last one for ever."""

    def __init__(self, *outcomes: Vector | ServiceError) -> None:
        self._outcomes = list(outcomes)
        self.asked: list[tuple[str, Role]] = []

    async def embed(self, text: str, role: Role, deadline: float) -> Vector:
        self.asked.append((text, role))
        outcome = self._outcomes.pop(0) if len(self._outcomes) > 1 else self._outcomes[0]
        if isinstance(outcome, ServiceError):
            raise outcome
        return outcome


async def reports(device: Device, number: int) -> list[bool]:
    """Return the first reports of a watch that checks without a pause."""
    heard: list[bool] = []
    enough = asyncio.Event()

    async def report(well: bool) -> None:
        heard.append(well)
        if len(heard) == number:
            enough.set()

    watch = asyncio.create_task(golden.watch(GOLDEN, device.embed, seconds=0, report=report))
    waiting = asyncio.create_task(enough.wait())
    await asyncio.wait([watch, waiting], return_when=asyncio.FIRST_COMPLETED)
    for task in (watch, waiting):
        task.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    with contextlib.suppress(asyncio.CancelledError):
        await watch
    return heard[:number]


async def test_the_promised_vectors_pass() -> None:
    device = Device(UNIT, WRONG)
    await golden.check([*GOLDEN, Golden("a wish", "query", WRONG)], device.embed)
    assert device.asked == [("a film", Role.ITEM), ("a wish", Role.QUERY)]


@pytest.mark.parametrize("wrong", [[0, 1], [0.99, 0.141], [np.nan, 0]])
async def test_any_other_vector_is_refused(wrong: list[float]) -> None:
    device = Device(np.array(wrong, np.float32))
    with pytest.raises(GoldenError, match="golden item 'a film'"):
        await golden.check(GOLDEN, device.embed)


@pytest.mark.parametrize("error", BROKEN)
async def test_no_vector_is_refused_too(error: ServiceError) -> None:
    with pytest.raises(GoldenError, match=f"golden item 'a film' has no vector: {error}"):
        await golden.check(GOLDEN, Device(error).embed)


async def test_a_stage_that_never_answers_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(text: str, role: Role, deadline: float) -> Vector:
        await asyncio.Event().wait()
        return UNIT

    monkeypatch.setattr(golden, "_DEAD_SECONDS", 0.01)
    with pytest.raises(GoldenError, match="has no vector: no answer"):
        await golden.check(GOLDEN, hang)


async def test_a_worker_that_never_was_right_is_not_served() -> None:
    with pytest.raises(GoldenError, match="has cosine 0"):
        await reports(Device(WRONG), 1)


@pytest.mark.parametrize("busy", BUSY)
async def test_the_first_check_waits_for_room(busy: ServiceError) -> None:
    assert await reports(Device(busy, busy, UNIT), 1) == [True]


@pytest.mark.parametrize("failure", [WRONG, *BROKEN])
async def test_a_failure_is_reported_until_a_check_passes(failure: Vector | ServiceError) -> None:
    device = Device(UNIT, failure, failure, UNIT)
    assert await reports(device, 5) == [True, False, False, True, True]


@pytest.mark.parametrize("busy", BUSY)
async def test_a_check_without_room_proves_nothing(busy: ServiceError) -> None:
    device = Device(UNIT, busy, WRONG, busy, UNIT)
    assert await reports(device, 3) == [True, False, True]
    assert len(device.asked) >= 5


async def test_the_next_check_comes_sooner_until_one_passes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 4:
            raise asyncio.CancelledError

    async def report(well: bool) -> None:
        pass

    monkeypatch.setattr("longtail.worker.golden.asyncio.sleep", sleep)
    device = Device(UNIT, WRONG, BUSY[0], UNIT)
    with pytest.raises(asyncio.CancelledError):
        await golden.watch(GOLDEN, device.embed, seconds=60, report=report)
    assert pauses == [60, 6, 6, 60]
