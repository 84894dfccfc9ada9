"""Waiting texts by their length, so that a text's neighbours in length are found quickly."""

import heapq
import itertools
from bisect import bisect_left, insort
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar


class _Filed(Protocol):
    length: int
    waiting: bool


Item = TypeVar("Item", bound=_Filed)

# Items that left are removed when they surface; when this many more are filed than wait, at once.
_MAX_GONE = 1_024


class LengthIndex(Generic[Item]):
    """A heap of items for each length, and the lengths in order.

    An item leaves by its `waiting` becoming False. Filing one is O(log n); looking for a neighbour
    walks over the different lengths, never over the items. Positions hold until `tidy` or `file`.
    """

    def __init__(self) -> None:
        self._buckets: dict[int, list[tuple[float, int, Item]]] = {}
        self._lengths: list[int] = []
        self._filed = 0
        self._numbers = itertools.count()

    def file(self, item: Item, tag: float) -> None:
        """Add an item; among those of its length the lowest tag comes first, then the oldest."""
        bucket = self._buckets.get(item.length)
        if bucket is None:
            bucket = self._buckets[item.length] = []
            insort(self._lengths, item.length)
        heapq.heappush(bucket, (tag, next(self._numbers), item))
        self._filed += 1

    def position(self, length: int) -> int:
        """Return the position of a length that is filed."""
        return bisect_left(self._lengths, length)

    def nearest(
        self, position: int, step: int, eligible: Callable[[Item], bool]
    ) -> tuple[int, Item | None]:
        """Return the first item from `position` on, and its position, where `step` is 1 or -1.

        Only the first item of each length is looked at.
        """
        while 0 <= position < len(self._lengths):
            bucket = self._settle(self._buckets[self._lengths[position]])
            if bucket and eligible(bucket[0][2]):
                return position, bucket[0][2]
            position += step
        return position, None

    def tidy(self, length: int) -> None:
        """Forget a length of which nothing waits any more."""
        bucket = self._buckets.get(length)
        if bucket is not None and not self._settle(bucket):
            del self._buckets[length]
            del self._lengths[bisect_left(self._lengths, length)]

    def compact(self, waiting: int) -> None:
        """Remove the items that left, if they are many beside the number that wait."""
        if self._filed <= 2 * waiting + _MAX_GONE:
            return
        kept = [
            [filed for filed in bucket if filed[2].waiting] for bucket in self._buckets.values()
        ]
        # What is left of a heap need not be one.
        for bucket in kept:
            heapq.heapify(bucket)
        self._buckets = {bucket[0][2].length: bucket for bucket in kept if bucket}
        self._lengths = sorted(self._buckets)
        self._filed = sum(map(len, kept))

    def clear(self) -> None:
        """Remove everything."""
        self._buckets.clear()
        self._lengths.clear()
        self._filed = 0

    def _settle(self, bucket: list[tuple[float, int, Item]]) -> list[tuple[float, int, Item]]:
        """Drop the items at the top that left."""
        while bucket and not bucket[0][2].waiting:
            heapq.heappop(bucket)
            self._filed -= 1
        return bucket
