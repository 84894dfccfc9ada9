"""Pairs of items that a person liked one soon after the other, rare ones drawn more than they come.

Drawn as they come, pairs of the popular would be all that there is to learn; with each weighed by
one over the root of its popularity, the tail has its say.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Int32s = NDArray[np.int32]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

# So many likes further on is still soon after.
NEAR = 5
# A pair is drawn with the product of both popularities, to this power.
TAIL_WEIGHT = -0.5


@dataclass(frozen=True, eq=False)
class Likes:
    """What people liked, one person after the other, each the earliest first.

    `people` (m,), ascending, and `items` (m,) of `count` items, by number.
    """

    people: Int32s
    items: Int32s
    count: int

    @classmethod
    def of(cls, lists: Sequence[bytes], count: int) -> "Likes":
        """Return the likes in lists of int32 numbers below `count`, as `Behaviour.likes` gives."""
        items = np.frombuffer(b"".join(lists), np.int32)
        lengths = np.fromiter(map(len, lists), np.int64, len(lists)) // items.itemsize
        return cls(np.repeat(np.arange(len(lists), dtype=np.int32), lengths), items, count)

    def where(self, kept: Mask) -> "Likes":
        """Return those that are `kept` (m,)."""
        return Likes(self.people[kept], self.items[kept], self.count)

    @property
    def popularity(self) -> Floats:
        """How many like each item, (count,)."""
        return np.bincount(self.items, minlength=self.count).astype(np.float64)


class Pairs:
    """All pairs of likes of one person within NEAR of each other, to be drawn from."""

    def __init__(self, likes: Likes, tail_weight: float) -> None:
        self._likes = likes
        self._weights = np.maximum(likes.popularity, 1.0)[likes.items] ** tail_weight
        ahead = np.zeros(len(likes.items))
        for distance in range(1, NEAR + 1):
            same = likes.people[distance:] == likes.people[:-distance]
            ahead[: len(same)] += self._weights[distance:] * same
        self._reached = np.cumsum(self._weights * ahead)

    def __bool__(self) -> bool:
        return bool(len(self._reached) and self._reached[-1] > 0)

    def drawn(self, random: np.random.Generator, count: int) -> tuple[Int32s, Int32s]:
        """Return `count` pairs, (count,) each; there must be some."""
        likes = self._likes
        drawn = random.random((2, count))
        first = self._reached.searchsorted(drawn[0] * self._reached[-1], side="right")
        later = first[:, None] + np.arange(1, NEAR + 1)
        within = np.minimum(later, len(likes.items) - 1)
        same = (likes.people[within] == likes.people[first, None]) & (within == later)
        reached = np.cumsum(self._weights[within] * same, axis=1)
        chosen = (reached <= drawn[1][:, None] * reached[:, -1:]).sum(axis=1)
        return likes.items[first], likes.items[within[np.arange(count), chosen]]
