"""The values of each row side by side, of whatever attribute: postings, turned round.

What a row holds is then had in one step, however many attributes the catalogue has.
"""

from collections.abc import Sequence

import numpy as np
from longtail.server.catalogue.array_file import Arrays, Named
from longtail.server.catalogue.columns.growing import GrowingArray
from longtail.server.catalogue.columns.postings import Rows
from numpy.typing import NDArray

Ints = NDArray[np.int64]


class RowValues:
    """Values by row, each with a key. One thread appends; others read without a lock."""

    def __init__(self) -> None:
        # Row r has the values from starts[r] until starts[r + 1].
        self._starts = GrowingArray(np.zeros(1, np.int64))
        self._keys = GrowingArray.empty(np.int32)
        self._values = GrowingArray.empty(np.int64)

    @classmethod
    def mapped(cls, arrays: Arrays) -> "RowValues":
        """Return what `kept` has written."""
        rows = cls()
        rows._starts, rows._keys, rows._values = arrays["starts"], arrays["keys"], arrays["values"]
        return rows

    def kept(self) -> Named:
        """Yield the arrays, to be written."""
        yield "starts", [self._starts.values]
        yield "keys", [self._keys.values]
        yield "values", [self._values.values]

    def append(self, count: int, parts: Sequence[tuple[int, Rows, Ints]]) -> None:
        """Append `count` rows; a part is a key, rows (n,) of 0 .. `count` - 1, and values (n,)."""
        rows = np.concatenate([np.empty(0, np.int64), *(rows for _, rows, _ in parts)])
        order = np.argsort(rows, kind="stable")
        keys = np.repeat([key for key, _, _ in parts], [len(rows) for _, rows, _ in parts])
        values = np.concatenate([np.empty(0, np.int64), *(values for _, _, values in parts)])
        end = self._starts.values[-1] + np.cumsum(np.bincount(rows, minlength=count))
        self._values.append(values[order])
        self._keys.append(keys[order])
        self._starts.append(end)

    def of(self, rows: Ints) -> tuple[Ints, NDArray[np.int32], Ints]:
        """Return the values of `rows` (n,), -1 for a row without any.

        Of each the place in `rows`, ascending, its key and the value, (m,).
        """
        # The starts are read first, since they are written last.
        starts = self._starts.values
        first = starts[rows]
        lengths = np.where(rows < 0, 0, starts[rows + 1] - first)
        places = np.repeat(np.arange(len(rows)), lengths)
        at = np.arange(len(places)) + (first + lengths - np.cumsum(lengths))[places]
        return places, self._keys.values[at], self._values.values[at]

    def held(self, rows: Sequence[int]) -> list[set[tuple[int, int]]]:
        """Return keys and values of each of `rows`, -1 for a row without any: for few of them."""
        starts = self._starts.values
        keys, values = self._keys.values, self._values.values
        found: list[set[tuple[int, int]]] = []
        for row in rows:
            start, stop = (starts[row], starts[row + 1]) if row >= 0 else (0, 0)
            pairs = zip(keys[start:stop].tolist(), values[start:stop].tolist(), strict=True)
            found.append(set(pairs))
        return found
