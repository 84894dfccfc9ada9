import asyncio
from collections.abc import AsyncIterator

import pytest
from longtail.server.rpc.import_stream import write_in_order


class Written:
    """Prepares numbers in the opposite of their order, and keeps what is written."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.preparing = 0

    async def prepare(self, number: int) -> int:
        self.preparing += 1
        try:
            await asyncio.sleep(0.001 * (5 - number % 5))
        finally:
            self.preparing -= 1
        if number == 13:
            raise LookupError("unlucky")
        return number

    async def write(self, number: int) -> None:
        await asyncio.sleep(0)
        self.numbers.append(number)


async def count(until: int, failure: Exception | None = None) -> AsyncIterator[int]:
    for number in range(until):
        yield number
    if failure is not None:
        raise failure


@pytest.mark.parametrize("ahead", [1, 3, 100])
async def test_all_are_written_in_their_order(ahead: int) -> None:
    written = Written()
    await write_in_order(count(12), written.prepare, written.write, ahead)
    assert written.numbers == list(range(12))


async def test_a_failed_preparation_has_its_turn() -> None:
    written = Written()
    with pytest.raises(LookupError):
        await write_in_order(count(30), written.prepare, written.write, 4)
    assert written.numbers == list(range(13))
    assert written.preparing == 0


async def test_a_stream_that_breaks_leaves_its_beginning_written() -> None:
    written = Written()
    with pytest.raises(OSError, match="broken"):
        await write_in_order(count(7, OSError("broken")), written.prepare, written.write, 4)
    assert written.numbers == list(range(7))


async def test_nothing_goes_on_when_the_caller_has_gone() -> None:
    written, begun = Written(), asyncio.Event()

    async def never(number: int) -> None:
        begun.set()
        await asyncio.Event().wait()

    writing = asyncio.create_task(write_in_order(count(30), written.prepare, never, 4))
    await begun.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert written.preparing == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}
