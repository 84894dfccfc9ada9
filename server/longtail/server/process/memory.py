"""What becomes of the memory that a request gives back: it is kept for the next."""

import ctypes

# glibc's names for what mallopt sets; see mallopt(3).
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
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
