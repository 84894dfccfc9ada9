"""Where an item stands in the popularity of its catalogue: bucket and percentile.

The split is that of Abdollahpouri, Burke and Mobasher, "Managing Popularity Bias in Recommender
Systems with Personalized Re-ranking" (FLAIRS 2019): the head holds the first 20 % of all
interactions, the middle the next 60 %, and the long tail is the rest.
"""

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

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
class BucketShare:
    """Items of a bucket, and their share of all popularity."""

    items: int
    share: float


class PopularityScale:
    """The popularity of n items, against which any popularity can be placed.

    Popularity is a mass: interactions counted, plus the prior, zero or more. An item belongs to the
    bucket in which its first interaction falls when items are lined up from the most to the least
    popular. Equally popular items share a bucket, the less popular one of those they span. Without
    any interaction every item is tail.
    """

    def __init__(self, mass: Floats) -> None:
        self._ascending = np.sort(mass)
        descending = self._ascending[::-1]
        cumulated = np.concatenate(([0.0], np.cumsum(descending)))
        self._total = float(cumulated[-1])
        # Of all interactions, the share that lies before each item.
        before = cumulated[:-1] / (self._total or 1.0)
        self._least_of_head = self._least_within(before, HEAD_SHARE)
        self._least_of_mid = self._least_within(before, 1 - TAIL_SHARE)
        # What is kept grows with the catalogue by one number an item.
        self._shares = self._counted(cumulated)

    def bucket(self, mass: Floats) -> NDArray[np.int8]:
        """Return the Bucket of each `mass` (n,), as (n,)."""
        # From the tail on, as the buckets are numbered from the head.
        above = (mass >= self._least_of_mid).astype(np.int8)
        above += mass >= self._least_of_head
        bucket: NDArray[np.int8] = _TAIL - above
        return bucket

    def percentile(self, mass: Floats) -> Floats:
        """Return the share of the items that are less popular than each `mass` (n,), 0 to 1."""
        below: Floats = self._ascending.searchsorted(mass, side="left") / max(
            1, len(self._ascending)
        )
        return below

    def relative_log(self, mass: Floats) -> Floats:
        """Return the log of each `mass` (n,) against the catalogue's mean, each plus one.

        It stays about the same while a catalogue gathers interactions.
        """
        mean = self._total / max(1, len(self._ascending))
        relative: Floats = np.log((mass + 1) / (mean + 1))
        return relative

    def masses(self, bucket: Bucket) -> tuple[float, float]:
        """Return the least mass of a bucket and the mass that is too much for it."""
        return {
            Bucket.HEAD: (self._least_of_head, np.inf),
            Bucket.MID: (self._least_of_mid, self._least_of_head),
            Bucket.TAIL: (0.0, self._least_of_mid),
        }[bucket]

    @cached_property
    def usual(self) -> Floats:
        """The shares (3,) of the buckets in all popularity; without any, all of it is the tail."""
        usual = np.array([share.share for share in self.shares().values()])
        if not usual.any():
            usual[Bucket.TAIL] = 1.0
        return usual

    def shares(self) -> dict[Bucket, BucketShare]:
        """Return the items of each bucket and their popularity."""
        return dict(self._shares)

    def _counted(self, cumulated: Floats) -> dict[Bucket, BucketShare]:
        n = len(self._ascending)
        shares = {}
        for bucket in Bucket:
            last, first = n - self._ascending.searchsorted(self.masses(bucket), side="left")
            mass = cumulated[last] - cumulated[first]
            shares[bucket] = BucketShare(int(last - first), float(mass / (self._total or 1.0)))
        return shares

    def _least_within(self, before: Floats, share: float) -> float:
        # The last of a run of equals decides for all of them, so a run that goes beyond the share
        # is left out. What has no interaction is within no share.
        n, within = len(before), int(before.searchsorted(share, side="left"))
        if within == 0:
            return np.inf
        least = self._ascending[n - within]
        if (within < n and self._ascending[n - within - 1] == least) or least == 0:
            above = int(self._ascending.searchsorted(least, side="right"))
            return float(self._ascending[above]) if above < n else np.inf
        return float(least)


# NumPy is slow to take an Enum for a number.
_TAIL = np.int8(Bucket.TAIL)
