"""Restarts: told, counted, and not without end."""

import asyncio

import pytest
from longtail.worker.supervisor import MAX_RESTARTS, RESTART_SECONDS, Supervisor


class Work:
    """Dies as often as it is told, `seconds` after each start, and then stays."""

    def __init__(self, deaths: int, seconds: float = 0.0) -> None:
        self.now = 0.0
        self.told: list[bool] = []
        self.stays = asyncio.Event()
        self._deaths = deaths
        self._seconds = seconds

    async def __call__(self) -> None:
        if self._deaths:
            self._deaths -= 1
            self.now += self._seconds
            raise RuntimeError("died")
        self.stays.set()
        await asyncio.Event().wait()

    async def on_health(self, serving: bool) -> None:
        self.told.append(serving)

    def supervisor(self) -> Supervisor:
        return Supervisor(self.on_health, lambda: self.now)


async def test_work_that_died_goes_on() -> None:
    work = Work(MAX_RESTARTS)
    task = asyncio.create_task(work.supervisor().keep(work))
    await work.stays.wait()
    assert work.told == [False, True] * MAX_RESTARTS
    task.cancel()


async def test_work_that_dies_again_and_again_is_given_up() -> None:
    work = Work(MAX_RESTARTS + 1)
    with pytest.raises(RuntimeError, match="died"):
        await work.supervisor().keep(work)
    assert work.told[-1] is False


async def test_deaths_long_ago_do_not_count() -> None:
    work = Work(3 * MAX_RESTARTS, seconds=RESTART_SECONDS)
    task = asyncio.create_task(work.supervisor().keep(work))
    await work.stays.wait()
    assert work.told[-1] is True
    task.cancel()
