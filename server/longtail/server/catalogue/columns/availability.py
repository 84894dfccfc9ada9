"""Whether the item of each row may be recommended: its state, and when it is available."""

from collections.abc import Sequence

import numpy as np
from longtail.server.catalogue.columns.growing import GrowingArray
from longtail.server.store.records import ItemChange, State
from numpy.typing import NDArray

# Bounds of a window of availability that are not set.
ALWAYS_WAS, FOR_EVER = np.iinfo(np.int64).min, np.iinfo(np.int64).max


class AvailabilityColumns:
    """State and window of availability by row, as each item was written. Times are microseconds."""

    def __init__(self) -> None:
        self._state = GrowingArray.empty(np.int8)
        self._from = GrowingArray.empty(np.int64)
        self._until = GrowingArray.empty(np.int64)

    def append(self, changes: Sequence[ItemChange]) -> None:
        """Append a row for each change."""
        self._state.append([change.state for change in changes])
        self._from.append([_or(change.available_from, ALWAYS_WAS) for change in changes])
        self._until.append([_or(change.available_until, FOR_EVER) for change in changes])

    def open(self, rows: slice | NDArray[np.int64], now_us: int) -> NDArray[np.bool_]:
        """Return which of `rows` (n,) are active, and available at a moment, (n,)."""
        mask: NDArray[np.bool_] = self._state.values[rows] == State.ACTIVE
        mask &= self._from.values[rows] <= now_us
        mask &= self._until.values[rows] > now_us
        return mask

    def state_of(self, row: int) -> State:
        """Return the state of the item in a row."""
        return State(int(self._state.values[row]))

    def is_available(self, row: int, now_us: int) -> bool:
        """Return whether the item in a row is available at a moment, whatever its state."""
        return bool(self._from.values[row] <= now_us < self._until.values[row])

    def take(self, rows: NDArray[np.int64]) -> "AvailabilityColumns":
        """Return new columns of `rows` (n,), NO_ROW for a hidden one."""
        taken = AvailabilityColumns()
        taken._state = self._state.take(rows, State.HIDDEN)
        taken._from = self._from.take(rows, ALWAYS_WAS)
        taken._until = self._until.take(rows, FOR_EVER)
        return taken


def _or(value: int | None, default: int) -> int:
    return default if value is None else value
