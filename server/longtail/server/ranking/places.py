"""The places of a list: what each counts, and all ways to share them among the buckets."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@lru_cache(maxsize=128)
def discounts(k: int) -> Floats:
    """Return what relevance counts at each of `k` places, 1 / log2(place + 1); read-only."""
    weights: Floats = 1 / np.log2(np.arange(2, k + 2))
    weights.setflags(write=False)
    return weights


@lru_cache(maxsize=128)
def ideal_gains(k: int) -> list[float]:
    """Return the DCG of lists of 1 to k that are relevant."""
    gains: list[float] = np.cumsum(discounts(k)).tolist()
    return gains


@lru_cache(maxsize=128)
def numbers(k: int) -> Ints:
    """Return 0 to k: how many of k places a bucket may have."""
    return np.arange(k + 1)


# Of a list of 100 it takes 4 MB.
@lru_cache(maxsize=16)
def shares(k: int) -> tuple[Ints, Ints]:
    """Return all r ways to share k places: numbers (3, r), and members (r, k) of buckets of k."""
    head, mid = np.meshgrid(np.arange(k + 1), np.arange(k + 1), indexing="ij")
    held = head + mid <= k
    head, mid = head[held], mid[held]
    counts = np.stack((head, mid, k - head - mid), axis=1)
    place = np.arange(k)
    ends = np.cumsum(counts, axis=1)[..., None]
    bucket = (place >= ends).sum(axis=1)
    starts = np.take_along_axis((ends[..., 0] - counts), bucket, axis=1)
    return np.ascontiguousarray(counts.T), bucket * k + place - starts
