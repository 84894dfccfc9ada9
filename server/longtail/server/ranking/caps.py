"""How many items of a list may share a value of an attribute."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class CappedAttribute:
    """At most `limit` items of a list may share a value of an attribute.

    The values of candidate i are `values[offsets[i] : offsets[i + 1]]`, numbers from 0, each once;
    `offsets` (n + 1,).
    """

    offsets: Ints
    values: Ints
    limit: int


class Room:
    """What the caps still admit, while items are taken one by one."""

    def __init__(self, caps: Sequence[CappedAttribute]) -> None:
        self._caps = [
            (
                cap.offsets.tolist(),
                cap.values.tolist(),
                [0] * (int(cap.values.max(initial=-1)) + 1),
                cap.limit,
            )
            for cap in caps
        ]

    def take(self, items: Iterable[int]) -> None:
        """Count items whether or not there is room for them."""
        for item in items:
            for offsets, values, held, _ in self._caps:
                for value in values[offsets[item] : offsets[item + 1]]:
                    held[value] += 1

    def admits(self, item: int) -> bool:
        """Return whether one more item breaks no cap."""
        for offsets, values, held, limit in self._caps:
            for value in values[offsets[item] : offsets[item + 1]]:
                if held[value] >= limit:
                    return False
        return True


def without_room(caps: Sequence[CappedAttribute], items: Ints, count: int) -> Mask:
    """Return which of `count` candidates break a cap as one more beside `items`, (count,)."""
    breaking, listed = np.zeros((2, count), np.bool_)
    listed[items] = True
    for cap in caps:
        owner = np.repeat(np.arange(count), np.diff(cap.offsets))
        held = np.bincount(cap.values[listed[owner]], minlength=cap.values.max(initial=-1) + 1)
        breaking[owner[held[cap.values] >= cap.limit]] = True
    return breaking


def within(caps: Sequence[CappedAttribute], pins: Iterable[int], order: Ints) -> Ints:
    """Return those of `order`, in it, of which no list can break a cap.

    The `pins` are in every list. Then one after another is kept for which there is room beside
    those before it: as many of a value as a list may hold, the first of them.
    """
    if not caps:
        return order
    room = Room(caps)
    room.take(pins)
    kept = []
    for item in order.tolist():
        if room.admits(item):
            room.take((item,))
            kept.append(item)
    return np.array(kept, np.int64)
