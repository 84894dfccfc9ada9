"""Columns of some of the rows of others, by way of a file as a generation of the index has it."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from longtail.server.catalogue.array_file import Arrays, Named, read_arrays, write_arrays
from longtail.server.catalogue.columns.attributes import AttributeColumns
from longtail.server.catalogue.columns.columns import DIED_NEVER, NO_ROW, Columns, Ints


def mapped(arrays: Named) -> Arrays:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "arrays"
        write_arrays(file, arrays)
        return read_arrays(file)


def carried(columns: Columns, rows: Ints) -> Columns:
    """Return columns over a file of the first half of `rows`, with the others behind it."""
    first = rows[: max(len(rows) // 2, np.flatnonzero(rows == NO_ROW).max(initial=-1) + 1)].copy()
    there = np.flatnonzero(first >= 0)
    first[there[columns.died[first[there]] < DIED_NEVER]] = NO_ROW
    found = Columns.of(mapped(columns.kept(first)))
    found.take(columns, rows)
    return found


def carried_attributes(columns: AttributeColumns, rows: Ints) -> AttributeColumns:
    """Return attributes over a file of the first half of `rows`, with the others behind it."""
    half = len(rows) // 2
    found = AttributeColumns.of(mapped(columns.kept(rows[:half])))
    found.append_from(columns, rows[half:])
    return found
