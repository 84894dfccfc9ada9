"""What becomes of memory: what a request gives back is kept, what stays is not looked through."""

import ctypes
import gc
import time

# glibc's names for what mallopt sets; see mallopt(3).
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
# A look through all objects that took longer found a catalogue among them.
LONG_LOOK_SECONDS = 0.005
# What is kept stands in the second heap too, whose end is never given back before it is longer.
KEPT_BYTES, GROWTH_BYTES, LARGEST_BYTES = 16 * 2**20, 4 * 2**20, 32 * 2**20


def keep_freed_memory() -> bool:
    """Have the C library keep up to KEPT_BYTES of what is freed; return whether it can.

    The arrays of a request have some hundred kilobytes each. By itself glibc fetches each from the
    system and gives it back, and the system clears every page of it anew.
    """
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    options = {
        M_TRIM_THRESHOLD: KEPT_BYTES,
        M_TOP_PAD: GROWTH_BYTES,
        M_MMAP_THRESHOLD: LARGEST_BYTES,
    }
    return all(set_option(option, value) for option, value in options.items())


def keep_collections_short() -> None:
    """Have Python's collector of cycles pass over what has survived a long look at everything.

    Such a look holds the interpreter for 50 ms where there are 90,000 items, at every large write,
    and nearly all that it finds are the catalogue and the people, which references keep count of.
    """
    began = 0.0

    def note(phase: str, info: dict[str, int]) -> None:
        nonlocal began
        if info["generation"] < 2:
            return
        if phase == "start":
            began = time.thread_time()
        elif time.thread_time() - began > LONG_LOOK_SECONDS:
            gc.freeze()

    gc.callbacks.append(note)
