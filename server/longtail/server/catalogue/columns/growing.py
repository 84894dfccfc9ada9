"""An array that one thread appends to while others read it without a lock."""

from collections.abc import Sequence
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

S = TypeVar("S", bound=np.generic)

FIRST_CAPACITY = 4
# So many times as long as it was, or as it has to be, is an array that is replaced by a longer one.
GROWTH = 1.5


class GrowingArray(Generic[S]):
    """Values of one type, in the order in which they came.

    One thread appends. Growing moves the values to a larger array and leaves the old one as it
    is, so an array that a reader holds stays valid. Values that are changed in place after that
    are seen only by who asks for the array again.
    """

    __slots__ = ("_held", "count")

    def __init__(self, values: NDArray[S], count: int | None = None) -> None:
        """Hold the first `count` of `values`, or all; what is behind them is room."""
        self._held = values
        self.count = len(values) if count is None else count

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
        held = self.values
        if not len(held):
            return GrowingArray(np.full(len(rows), fill, held.dtype))
        values: NDArray[S] = held[rows]
        values[rows < 0] = fill
        return GrowingArray(values)

    def take_in(self, values: NDArray[S]) -> None:
        """Let the first values be `values` (n,): what is equal is not written to.

        So pages of a mapped file that hold what they should stay the file's.
        """
        held = self._held[: len(values)]
        other = np.flatnonzero(held != values)
        held[other] = values[other]
