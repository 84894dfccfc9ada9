"""Gives back to the system what the C library keeps of memory that was freed.

gRPC takes what arrives in small pieces, in threads of its own. After large requests, refused or
not, hundreds of megabytes of them are free, but not at the end of a heap, where alone the C library
gives memory back by itself.
"""

import asyncio
import contextlib
import ctypes
import os
import time
from collections.abc import Callable
from pathlib import Path

SECONDS = 5.0
# Growth by such a part of the process may be what was freed; what is needed is used again at once.
# To look through the heaps takes 2 ms of a process of 300 MB, and the longer the larger they are.
GROWTH_SHARE = 0.01
# A process may grow by less for hours. What is free is given back once in so many seconds.
MOST_SECONDS = 60.0
_STATUS = Path("/proc/self/statm")
# glibc's name for what mallopt sets, see mallopt(3). Of each heap some stays at its end, and by
# itself there may be eight for each core.
M_ARENA_MAX, HEAPS = -8, 2


def share_heaps() -> None:
    """Have all threads share a few heaps of the C library; to be called before they begin."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, HEAPS)


class _Heaps(ctypes.Structure):
    """What mallinfo2 tells of all heaps, in bytes or pieces; see mallinfo(3)."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks",
            "fordblks", "keepcost",
        )
    )  # fmt: skip


async def give_back_freed_memory(seconds: float = SECONDS) -> None:
    """Look every `seconds` whether much was taken or freed, and give back what is free, for ever.

    What is freed later than it was looked for makes no process grow, so both are looked at. Once in
    MOST_SECONDS all that is free is given back, however little it is.
    """
    trim = _trim()
    resident, free, trimmed = _resident_bytes(), _free_bytes(), time.monotonic()
    while trim is not None:
        await asyncio.sleep(seconds)
        # In threads, which hold no lock of Python's meanwhile.
        now_free = await asyncio.to_thread(_free_bytes)
        growth = GROWTH_SHARE * resident
        is_more = _resident_bytes() > resident + growth or now_free > free + growth
        if is_more or time.monotonic() > trimmed + MOST_SECONDS:
            await asyncio.to_thread(trim, 0)
            resident, free, trimmed = _resident_bytes(), now_free, time.monotonic()
        resident, free = min(resident, _resident_bytes()), min(free, now_free)
    await asyncio.Event().wait()


def _trim() -> Callable[[int], int] | None:
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):
        # Another C library, which does as it does.
        return None
    return trim


def _resident_bytes() -> int:
    if not _STATUS.exists():
        return 0
    return int(_STATUS.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _free_bytes() -> int:
    """Return what is free in the heaps, given back or not; 0 where that is not told."""
    try:
        told = ctypes.CDLL(None).mallinfo2
    except (AttributeError, OSError):
        return 0
    told.restype = _Heaps
    return int(told().fordblks)
