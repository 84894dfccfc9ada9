"""The thread that makes long answers: what would not be in time is refused at once."""

import asyncio
import threading

import pytest
from longtail.runtime.deadline import within
from longtail.runtime.errors import Overloaded
from longtail.server.process.pools import Pools


async def test_answers_that_would_be_late_are_refused_and_others_are_made() -> None:
    go = threading.Event()
    with Pools() as pools:
        with within(30):
            for _ in range(3):
                await pools.answers(lambda: threading.Event().wait(0.2))
            waiting = [asyncio.create_task(pools.answers(go.wait)) for _ in range(20)]
            await asyncio.sleep(0)
        with within(0.5), pytest.raises(Overloaded) as caught:
            await pools.answers(lambda: True)
        assert caught.value.retry_seconds > 0.5
        with within(1e6):
            patient = asyncio.create_task(pools.answers(lambda: True))
            await asyncio.sleep(0)
        go.set()
        assert await asyncio.wait_for(patient, 30)
        await asyncio.gather(*waiting)
        with within(0.5):
            assert await pools.answers(lambda: True)
