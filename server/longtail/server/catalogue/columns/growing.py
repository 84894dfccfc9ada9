"""An array that one thread appends to while others read it without a lock."""

from collections.abc import Sequence
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

S = TypeVar("S", bound=np.generic)

FIRST_CAPACITY = 4
GROWTH = 1.5


class GrowingArray(Generic[S]):
    """Values of one type, in the order in which they came.

    One thread appends. Growing moves the values to a larger array and leaves the old one as it
    is, so an array that a reader holds stays valid. Values that are changed in place after that
    are seen only by who asks for the array again.
    """

    __slots__ = ("_held", "count")

    def __init__(self, values: NDArray[S]) -> None:
        self._held = values
        self.count = len(values)

    @classmethod
    def empty(cls, dtype: type[S]) -> "GrowingArray[S]":
        """Return an array without values."""
        return cls(np.empty(0, dtype))

    @property
    def values(self) -> NDArray[S]:
        """The values appended so far, (count,); a view, through which the appender may write."""
        # In this order: the array that is read second has at least as many values.
        count = self.count
        return self._held[:count]

    def append(self, values: Sequence[object] | NDArray[S]) -> None:
        """Append values (n,)."""
        count = self.count + len(values)
        if count > len(self._held):
            grown: NDArray[S] = np.empty(
                max(count, FIRST_CAPACITY, int(len(self._held) * GROWTH)), self._held.dtype
            )
            grown[: self.count] = self._held[: self.count]
            self._held = grown
        self._held[self.count : count] = values  # type: ignore[assignment]
        self.count = count

    def take(self, rows: NDArray[np.int64], fill: float) -> "GrowingArray[S]":
        """Return a new array of the values of `rows` (n,), `fill` where that is -1."""
        values = np.append(self.values, self.values.dtype.type(fill))
        return GrowingArray(values[rows])
