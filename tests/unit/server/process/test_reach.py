"""What cannot be read of a store that is away is done without, and nobody waits for it."""

import asyncio
import threading
from collections.abc import Iterator

import pytest
from longtail.runtime.errors import Unavailable
from longtail.server.process.reach import Reach


@pytest.fixture
def reach() -> Iterator[Reach]:
    with Reach(bounded=True, patience_seconds=60.0) as found:
        yield found


def away() -> str:
    raise Unavailable("the database cannot be reached")


async def both(reach: Reach, work: object) -> list[object]:
    """Return what is read from a thread, and from the loop."""
    assert callable(work)
    return [await asyncio.to_thread(reach.read, work), await reach.wait(work)]


async def test_what_can_be_read_is_read(reach: Reach) -> None:
    assert await both(reach, lambda: "read") == ["read", "read"]
    assert not reach.is_away


@pytest.mark.parametrize("first", ["thread", "loop"])
async def test_a_store_that_is_away_is_not_asked_until_it_was_followed(
    reach: Reach, first: str
) -> None:
    asked: list[str] = []

    def work() -> str:
        asked.append("asked")
        return away()

    for _ in range(2):
        found = reach.read(work) if first == "thread" else await reach.wait(work)
        assert found is None
        assert reach.is_away
    assert await both(reach, work) == [None, None]
    assert asked == ["asked"]
    reach.tell(away=False)
    assert await both(reach, lambda: "read") == ["read", "read"]


@pytest.mark.parametrize("first", ["thread", "loop"])
async def test_a_store_that_hangs_is_away(first: str) -> None:
    go = threading.Event()
    with Reach(bounded=True, patience_seconds=0.05) as reach:
        try:
            async with asyncio.timeout(60):
                if first == "thread":
                    assert await asyncio.to_thread(reach.read, go.wait) is None
                else:
                    assert await reach.wait(go.wait) is None
            assert reach.is_away
        finally:
            go.set()


async def test_a_fault_is_no_outage(reach: Reach) -> None:
    with pytest.raises(ZeroDivisionError):
        reach.read(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        await reach.wait(lambda: 1 // 0)
    assert not reach.is_away


def test_a_store_of_this_machine_is_read_in_place() -> None:
    with Reach(bounded=False) as reach:
        assert reach.read(threading.current_thread) is threading.current_thread()
        with pytest.raises(Unavailable):
            reach.read(away)
        assert not reach.is_away
