import asyncio
import contextlib
import math
import threading
from pathlib import Path

import pytest
from longtail.runtime import freed_memory
from longtail.runtime.freed_memory import give_back_freed_memory

PIECES, PIECE_BYTES = 10_000, 2_000


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


async def test_what_was_freed_in_pieces_is_given_back() -> None:
    giving = asyncio.create_task(give_back_freed_memory(seconds=0.01))
    await asyncio.sleep(0)
    before = resident_mb()
    pieces = list[bytes]()
    # At first they may go to where others were.
    while resident_mb() < before + 100:
        pieces += (bytes(PIECE_BYTES) for _ in range(PIECES))
    # It is looked for what is free while nothing is, too.
    await asyncio.sleep(0.2)
    # The last keeps the heap from shrinking by itself.
    kept = pieces.pop()
    pieces.clear()
    async with asyncio.timeout(60):
        while resident_mb() > before + 40:  # noqa: ASYNC110 (nothing tells of it)
            await asyncio.sleep(0.01)
    assert len(kept) == PIECE_BYTES
    giving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await giving


async def test_little_is_given_back_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    given_back, again = list[int](), threading.Event()

    def trim(kept: int) -> int:
        given_back.append(kept)
        if len(given_back) == 3:
            again.set()
        return 1

    monkeypatch.setattr(freed_memory, "_trim", lambda: trim)
    monkeypatch.setattr(freed_memory, "GROWTH_SHARE", math.inf)
    monkeypatch.setattr(freed_memory, "MOST_SECONDS", 0.05)
    giving = asyncio.create_task(give_back_freed_memory(seconds=0.01))
    assert await asyncio.to_thread(again.wait, 60)
    assert set(given_back) == {0}
    giving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await giving
