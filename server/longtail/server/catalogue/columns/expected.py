"""How often the item of each row is expected to be shown: looked up by id once, then by row."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from longtail.server.catalogue.columns.columns import Columns, Floats, Ints
from longtail.server.catalogue.columns.growing import GrowingArray


@dataclass(frozen=True)
class _Known:
    """The exposure of the rows looked up so far, as `expected` has it."""

    expected: Mapping[str, float]
    exposure: GrowingArray[np.float64]


class ExpectedColumn:
    """What is expected of the rows of `columns`, for any number of threads.

    The ids of hundreds of candidates lie all over the memory, and finding each in a table of all
    takes a tenth of a millisecond a request. Ids of rows never change, so each is looked up once.
    """

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._lock = threading.Lock()
        self._known = _Known({}, GrowingArray.empty(np.float64))

    def of(self, expected: Mapping[str, float], rows: Ints) -> Floats:
        """Return the exposure of `rows` (n,), (n,), where `expected` has it by id.

        It is 0 for an item that `expected` lacks, which was never shown, and for every item when
        `expected` is empty. An `expected` that was given once must not change.
        """
        if not expected:
            return np.zeros(len(rows))
        known = self._known
        if known.expected is not expected or known.exposure.count < self._columns.count:
            known = self._looked_up(expected)
        exposure: Floats = known.exposure.values[rows]
        return exposure

    def take(self, rows: Ints, columns: Columns) -> "ExpectedColumn":
        """Return the same for `columns`, which were taken of `rows` (n,) of these."""
        taken = ExpectedColumn(columns)
        if self._known.expected:
            known = self._looked_up(self._known.expected)
            taken._known = _Known(known.expected, known.exposure.take(rows, 0.0))
        return taken

    def _looked_up(self, expected: Mapping[str, float]) -> _Known:
        with self._lock:
            known = self._known
            if known.expected is not expected:
                known = _Known(expected, GrowingArray(self._mapped(expected)))
            # The count shows only rows whose ids are there.
            rows = range(known.exposure.count, self._columns.count)
            ids = map(self._columns.ids.__getitem__, rows)
            known.exposure.append([expected.get(item_id, 0.0) for item_id in ids])
            self._known = known
            return known

    def _mapped(self, expected: Mapping[str, float]) -> Floats:
        """Return the exposure of the rows that are mapped, of which each has an id of its own."""
        exposure = np.zeros(self._columns.mapped)
        rows = np.array(self._columns.mapped_rows(expected), np.int64)
        values = np.fromiter(expected.values(), np.float64, len(expected))
        exposure[rows[rows >= 0]] = values[rows >= 0]
        return exposure
