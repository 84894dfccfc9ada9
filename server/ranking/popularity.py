"""Where each item stands in the popularity of its catalogue: bucket and percentile.

The split is that of Abdollahpouri, Burke and Mobasher, "Managing Popularity Bias in Recommender
Systems with Personalized Re-ranking" (FLAIRS 2019): the head holds the first 20 % of all
interactions, the middle the next 60 %, and the long tail is the rest.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

HEAD_SHARE = 0.2
TAIL_SHARE = 0.2

Floats = NDArray[np.float64]


class Bucket(IntEnum):
    """Head, middle and tail, in the order of falling popularity."""

    HEAD = 0
    MID = 1
    TAIL = 2


@dataclass(frozen=True)
class Popularity:
    """The popularity of n items.

    `mass` (n,): interactions counted, plus the prior. `bucket` (n,): a Bucket each. `percentile`
    (n,): the share of the items that are less popular, 0 to 1.
    """

    mass: Floats
    bucket: NDArray[np.int8]
    percentile: Floats


def rank_popularity(mass: Floats) -> Popularity:
    """Split items by their popularity `mass` (n,), each zero or more.

    An item belongs to the bucket in which its first interaction falls when items are lined up
    from the most to the least popular. Equally popular items share a bucket, the less popular one
    of those they span. Without any interaction every item is tail.
    """
    n = len(mass)
    bucket = np.full(n, Bucket.TAIL, np.int8)
    if n == 0:
        return Popularity(mass, bucket, np.empty(0))
    ascending = np.sort(mass)
    percentile = np.searchsorted(ascending, mass, side="left") / n
    total = mass.sum()
    if total > 0:
        descending = ascending[::-1]
        before = np.concatenate(([0.0], np.cumsum(descending)[:-1])) / total
        # The last of a run of equals decides for all of them.
        last = n - 1 - np.searchsorted(ascending, mass, side="left")
        share = before[last]
        bucket[share < 1 - TAIL_SHARE] = Bucket.MID
        bucket[share < HEAD_SHARE] = Bucket.HEAD
        bucket[mass == 0] = Bucket.TAIL
    return Popularity(mass, bucket, percentile)
