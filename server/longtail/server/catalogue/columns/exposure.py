"""How much each item was shown of late, row by row."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from longtail.server.catalogue.array_file import Arrays, Named
from longtail.server.catalogue.columns.growing import GrowingArray
from longtail.server.catalogue.columns.refreshed import Refreshed
from longtail.server.store.records import ExposureChange
from numpy.typing import NDArray

# The level of what has no impression.
NEVER_SHOWN = -math.inf
# Up to so many rows are averaged anew after each change, which takes a fifth of a millisecond.
AVERAGED_AT_ONCE = 100_000


@dataclass(frozen=True)
class Mean:
    """The average of the live rows: as a level, and as impressions."""

    level: float
    impressions: float


# A level above all that is finite: what is shown is none of it.
NOTHING_SHOWN = Mean(math.inf, 0.0)


class Averaged(Protocol):
    """The rows that are averaged."""

    @property
    def version(self) -> int:
        """A number that moves when these rows or their levels change."""
        ...

    def live(self) -> NDArray[np.bool_]:
        """Return which rows are averaged, (count,)."""
        ...


class ExposureColumn:
    """DecayedSum.level for each row, and for items without a row, that had one or will have.

    All sums have the same `half_life`, in microseconds: levels of different ones do not compare.
    """

    def __init__(self, half_life: float = math.inf) -> None:
        self.half_life = half_life
        self._level = GrowingArray.empty(np.float64)
        # The time of the newest impression, on the scale of the levels.
        self._newest = NEVER_SHOWN
        self._without_row: dict[str, float] = {}
        self._mean = Refreshed(_new_mean, _version, _are_few)

    @classmethod
    def of(cls, arrays: Arrays) -> "ExposureColumn":
        """Return the column of as many rows as `kept` has written room for, none ever shown."""
        column = cls()
        column._level = arrays["level"]
        return column

    def set(self, change: ExposureChange, row: int) -> None:
        """Set the sum of an item whose newest version is in `row`, below 0 for none."""
        level = change.total.level(self.half_life)
        # First, so that no reader finds a level of later than that.
        if level > NEVER_SHOWN:
            self._newest = max(self._newest, change.total.time / self.half_life)
        if row < 0:
            self._without_row[change.item_id] = level
        else:
            self._level.values[row] = level

    def append(self, item_ids: Sequence[str], previous: Sequence[int]) -> None:
        """Append a row for each item, with the sum of its `previous` row, below 0 for none."""
        count = self._level.count
        levels: list[float] = []
        for item_id, row in zip(item_ids, previous, strict=True):
            if row < 0:
                levels.append(self._without_row.pop(item_id, NEVER_SHOWN))
            else:
                levels.append(self._at(row) if row < count else levels[row - count])
        self._level.append(levels)

    def relative(self, rows: NDArray[np.int64], averaged: Averaged) -> NDArray[np.float64]:
        """Return the sums of `rows` (n,) as multiples of the average of all, (n,)."""
        mean = self._mean.value((self, averaged))
        shown: NDArray[np.float64] = np.exp2(self._level.values[rows] - mean.level)
        return shown

    def mean(self, averaged: Averaged) -> float:
        """Return the average as of the newest impression, in impressions."""
        return self._mean.value((self, averaged)).impressions

    def average(self, averaged: Averaged) -> Mean:
        """Return the average of all, counted now."""
        live = averaged.live()
        levels = self._level.values[: len(live)][live]
        highest = levels.max(initial=NEVER_SHOWN)
        if highest == NEVER_SHOWN:
            return NOTHING_SHOWN
        level = float(highest + np.log2(np.exp2(levels - highest).mean()))
        return Mean(level, math.exp2(level - self._newest))

    def __len__(self) -> int:
        """Return how many rows there are."""
        return self._level.count

    def emptied(self, half_life: float) -> "ExposureColumn":
        """Return a column of as many rows without impressions, for sums of another half-life."""
        column = ExposureColumn(half_life)
        if (self._level.values == NEVER_SHOWN).all():
            # What is mapped stays so.
            column._level = self._level
        else:
            column._level.append(np.full(self._level.count, NEVER_SHOWN))
        return column

    def kept(self, count: int) -> Named:
        """Yield an array for `count` rows without impressions."""
        yield "level", [np.full(count, NEVER_SHOWN)]

    def with_sum(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return those of `rows` (n,) that have a sum."""
        having: NDArray[np.int64] = rows[self._level.values[rows] > NEVER_SHOWN]
        return having

    def take(
        self, other: "ExposureColumn", rows: NDArray[np.int64], left: Mapping[str, int]
    ) -> None:
        """Take the sums of the `rows` (n,) of another column, NO_ROW for none; `left` get no row.

        The column itself has at most n rows, none with a sum.
        """
        self.half_life, self._newest = other.half_life, other._newest
        known = self._level.count
        self._level.take_in(other._level.take(rows[:known], NEVER_SHOWN).values)
        self._level.append(other._level.values[rows[known:]])
        levels = {item_id: other._at(row) for item_id, row in left.items()}
        self._without_row = other._without_row | {
            item_id: level for item_id, level in levels.items() if level > NEVER_SHOWN
        }

    def _at(self, row: int) -> float:
        return float(self._level.values[row])


_Source = tuple[ExposureColumn, Averaged]


def _new_mean(source: _Source) -> Mean:
    column, averaged = source
    return column.average(averaged)


def _version(source: _Source) -> int:
    return source[1].version


def _are_few(source: _Source) -> bool:
    return len(source[0]) <= AVERAGED_AT_ONCE
