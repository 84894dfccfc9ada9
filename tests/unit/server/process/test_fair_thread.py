"""The thread that makes long answers: in rotation, and what would not be in time is refused."""

import asyncio
import threading
from collections.abc import Iterator

import pytest
from longtail.runtime.deadline import within
from longtail.runtime.errors import Overloaded
from longtail.runtime.identity import Caller, Role, set_caller
from longtail.server.process.fair_thread import FairThread


@pytest.fixture
def thread() -> Iterator[FairThread]:
    thread = FairThread("test")
    yield thread
    thread.shutdown()


async def _as(caller: str, thread: FairThread, order: list[str], seconds: float = 1e6) -> None:
    set_caller(Caller(caller, Role.READ))
    with within(seconds):
        await thread.run(lambda: order.append(caller))


async def test_what_would_be_late_is_refused_and_the_rest_is_done(thread: FairThread) -> None:
    set_caller(Caller("caller", Role.READ))
    go = threading.Event()
    with within(30):
        for _ in range(3):
            await thread.run(lambda: threading.Event().wait(0.2))
        waiting = [asyncio.create_task(thread.run(go.wait)) for _ in range(20)]
        await asyncio.sleep(0)
    with within(0.5), pytest.raises(Overloaded) as caught:
        await thread.run(lambda: True)
    assert caught.value.retry_seconds > 0.5
    with within(1e6):
        patient = asyncio.create_task(thread.run(lambda: True))
        await asyncio.sleep(0)
    go.set()
    assert await asyncio.wait_for(patient, 30)
    await asyncio.gather(*waiting)
    with within(0.5):
        assert await thread.run(lambda: True)


async def test_who_waits_with_many_keeps_nobody_with_few_waiting(thread: FairThread) -> None:
    go, order = threading.Event(), list[str]()
    set_caller(Caller("first", Role.READ))
    with within(30):
        first = asyncio.create_task(thread.run(go.wait))
        await asyncio.sleep(0)
    many = [asyncio.create_task(_as("many", thread, order)) for _ in range(20)]
    few = [asyncio.create_task(_as("few", thread, order)) for _ in range(2)]
    await asyncio.sleep(0)
    go.set()
    await asyncio.gather(first, *many, *few)
    assert order[:4] == ["many", "few", "many", "few"]
    assert order.count("many") == 20


async def test_a_wait_that_many_others_have_is_not_that_of_a_newcomer(thread: FairThread) -> None:
    set_caller(Caller("first", Role.READ))
    go, order = threading.Event(), list[str]()
    with within(30):
        for _ in range(20):
            await thread.run(lambda: threading.Event().wait(0.02))
        first = asyncio.create_task(thread.run(go.wait))
        await asyncio.sleep(0)
    many = [asyncio.create_task(_as("many", thread, order)) for _ in range(500)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await _as("many", thread, order, 10)
    newcomer = asyncio.create_task(_as("newcomer", thread, order, 10))
    await asyncio.sleep(0)
    go.set()
    await asyncio.gather(first, newcomer, *many)


async def test_who_gives_up_waiting_leaves_the_turn_to_the_next(thread: FairThread) -> None:
    go, order = threading.Event(), list[str]()
    set_caller(Caller("first", Role.READ))
    with within(30):
        first = asyncio.create_task(thread.run(go.wait))
        await asyncio.sleep(0)
    gone = asyncio.create_task(_as("gone", thread, order))
    stays = asyncio.create_task(_as("stays", thread, order))
    await asyncio.sleep(0)
    gone.cancel()
    go.set()
    await asyncio.gather(first, stays)
    assert order == ["stays"]
