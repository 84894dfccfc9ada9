"""How popular the items of a catalogue are as of now, or of a moment ago where there are many."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from longtail.server.catalogue.columns.columns import DIED_NEVER, Columns, Floats, Ints, Mask
from longtail.server.catalogue.columns.refreshed import Refreshed
from longtail.server.ranking.popularity import Bucket, PopularityScale
from numpy.typing import NDArray

# Up to so many rows are ranked anew after each change, which takes two milliseconds.
RANKED_AT_ONCE = 20_000
# Rows that are looked at together for allowed ones.
BLOCK = 4096


@dataclass(frozen=True)
class _Order:
    """Current rows (n,) and their masses (n,), from the least to the most popular."""

    rows: NDArray[np.int32]
    masses: Floats


class ScaleKeeper:
    """The popularity of what `columns` hold, for any number of threads.

    It is up to date while there are at most RANKED_AT_ONCE rows. Ranking more takes at most a
    twentieth of the time, so that at 200,000 rows it is some tenths of a second old under writes.
    """

    def __init__(self, columns: Columns, clock: Callable[[], float] = time.perf_counter) -> None:
        self._columns = columns
        self._scale = Refreshed(_new_scale, _version, _are_few, clock)
        self._order = Refreshed(_new_order, _version, _are_few, clock)

    def scale(self) -> PopularityScale:
        """Return the scale of all current rows, of whatever state."""
        return self._scale.value(self._columns)

    def ranked(self, limit: int) -> Ints:
        """Return the `limit` most popular rows, the most popular first, of whatever state."""
        return self._order.value(self._columns).rows[::-1][:limit].astype(np.int64)

    def most_popular(
        self, allowed: Mask, scale: PopularityScale, bucket: Bucket, limit: int
    ) -> Ints:
        """Return up to `limit` rows of a bucket, the most popular first; the newer of equals last.

        `allowed` (count,): the rows that may be returned. `scale` says where the bucket ends.
        """
        order = self._order.value(self._columns)
        least, too_much = scale.masses(bucket)
        first, end = order.masses.searchsorted((least, too_much), side="left").tolist()
        found: list[Ints] = []
        missing = limit
        while missing > 0 and end > first:
            rows = order.rows[max(first, end - BLOCK) : end][::-1].astype(np.int64)
            end -= len(rows)
            rows = rows[rows < len(allowed)]
            rows = rows[allowed[rows]][:missing]
            found.append(rows)
            missing -= len(rows)
        return np.concatenate(found) if found else np.empty(0, np.int64)


def _version(columns: Columns) -> int:
    return columns.version


def _are_few(columns: Columns) -> bool:
    return columns.count <= RANKED_AT_ONCE


def _new_scale(columns: Columns) -> PopularityScale:
    return PopularityScale(columns.mass(_current(columns)))


def _new_order(columns: Columns) -> _Order:
    # Equals are in descending order of rows, so that read from behind the older comes first.
    rows = _current(columns)[::-1]
    masses = columns.mass(rows)
    order = np.argsort(masses, kind="stable")
    return _Order(rows[order].astype(np.int32), masses[order])


def _current(columns: Columns) -> Ints:
    count = columns.count
    rows: Ints = np.flatnonzero(columns.died[:count] == DIED_NEVER)
    return rows
