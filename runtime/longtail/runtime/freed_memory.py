"""Gives back to the system what the C library keeps of memory that was freed.

gRPC takes what arrives in small pieces, in threads of its own. After large requests, refused or
not, hundreds of megabytes of them are free, but not at the end of a heap, where alone the C library
gives memory back by itself.
"""

import asyncio
import contextlib
import ctypes
import os
from collections.abc import Callable
from pathlib import Path

SECONDS = 5.0
# Growth by so much may be what was freed; what is needed is in use again at once.
GROWTH_BYTES = 32 * 2**20
_STATUS = Path("/proc/self/statm")
# glibc's name for what mallopt sets, see mallopt(3). Of each heap some stays at its end, and by
# itself there may be eight for each core.
M_ARENA_MAX, HEAPS = -8, 2


def share_heaps() -> None:
    """Have all threads share a few heaps of the C library; to be called before they begin."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, HEAPS)


async def give_back_freed_memory(seconds: float = SECONDS) -> None:
    """Look every `seconds` whether the process has grown, and give back what is free, for ever."""
    trim = _trim()
    least = _resident_bytes()
    while trim is not None:
        await asyncio.sleep(seconds)
        if _resident_bytes() > least + GROWTH_BYTES:
            # In a thread, which holds no lock of Python's meanwhile.
            await asyncio.to_thread(trim, 0)
            least = _resident_bytes()
        least = min(least, _resident_bytes())
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
