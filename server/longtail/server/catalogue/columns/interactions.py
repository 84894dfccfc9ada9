"""What the interactions of each item add up to, row by row."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from longtail.server.catalogue.array_file import Arrays, Named
from longtail.server.catalogue.columns.growing import GrowingArray
from longtail.server.store.decay import DecayedSum
from longtail.server.store.records import PopularityDecay
from numpy.typing import NDArray

NOTHING = DecayedSum(0.0, 0)


class InteractionColumn:
    """A decayed sum for each row, and for items without a row, that had one or will have.

    `decay` says how the sums decay, and as of when they are meant.
    """

    def __init__(self) -> None:
        self.decay = PopularityDecay(math.inf, 0)
        self._mass = GrowingArray.empty(np.float64)
        self._time = GrowingArray.empty(np.int64)
        self._without_row: dict[str, DecayedSum] = {}

    @classmethod
    def of(cls, arrays: Arrays) -> "InteractionColumn":
        """Return the column of as many rows as `kept` has written room for, all without a sum."""
        column = cls()
        column._mass, column._time = arrays["mass"], arrays["time"]
        return column

    def set(self, item_id: str, row: int, total: DecayedSum) -> None:
        """Set the sum of an item whose newest version is in `row`, below 0 for none."""
        if row < 0:
            self._without_row[item_id] = total
        else:
            self._mass.values[row] = total.mass
            self._time.values[row] = total.time

    def append(self, item_ids: Sequence[str], previous: Sequence[int]) -> None:
        """Append a row for each item, with the sum of its `previous` row, below 0 for none."""
        count = self._mass.count
        totals: list[DecayedSum] = []
        for item_id, row in zip(item_ids, previous, strict=True):
            if row < 0:
                totals.append(self._without_row.pop(item_id, NOTHING))
            else:
                totals.append(self._at(row) if row < count else totals[row - count])
        # A row is not read before its time is there.
        self._mass.append([total.mass for total in totals])
        self._time.append([total.time for total in totals])

    def masses(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the sums of `rows` (n,) as of the newest interaction of all, (n,)."""
        decay, masses = self.decay, self._mass.values[rows]
        if math.isfinite(decay.half_life):
            # None is newer than that, but for the moment between the setting of both.
            ages = np.maximum(decay.newest - self._time.values[rows], 0)
            masses *= np.exp2(ages / -decay.half_life)
        return masses

    def kept(self, count: int) -> Named:
        """Yield arrays for `count` rows without a sum."""
        yield "mass", [np.zeros(count)]
        yield "time", [np.zeros(count, np.int64)]

    def with_sum(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return those of `rows` (n,) that have a sum."""
        having: NDArray[np.int64] = rows[self._mass.values[rows] != 0]
        return having

    def take(
        self, other: "InteractionColumn", rows: NDArray[np.int64], left: Mapping[str, int]
    ) -> None:
        """Take the sums of the `rows` (n,) of another column, NO_ROW for none; `left` get no row.

        The column itself has at most n rows, none with a sum.
        """
        self.decay = other.decay
        known = self._mass.count
        self._mass.take_in(other._mass.take(rows[:known], NOTHING.mass).values)
        self._mass.append(other._mass.values[rows[known:]])
        self._time.take_in(other._time.take(rows[:known], NOTHING.time).values)
        self._time.append(other._time.values[rows[known:]])
        sums = {item_id: other._at(row) for item_id, row in left.items()}
        self._without_row = other._without_row | {
            item_id: total for item_id, total in sums.items() if total.mass
        }

    def _at(self, row: int) -> DecayedSum:
        return DecayedSum(float(self._mass.values[row]), int(self._time.values[row]))
