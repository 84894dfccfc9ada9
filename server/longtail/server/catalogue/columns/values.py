"""The values of one attribute, row by row, as numbers that say which are the same."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from longtail.server.catalogue.columns.attributes import AttributeColumns, Field
from longtail.server.catalogue.columns.postings import NOT_KEPT, Postings
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def values_of(attributes: AttributeColumns, path: str, rows: Ints) -> tuple[Ints, Ints]:
    """Return the values of the attribute `path` in `rows` (n,): offsets (n + 1,), values (m,).

    The values of `rows[i]` are values[offsets[i] : offsets[i + 1]], each once: none without the
    attribute, several of a list. Equal numbers stand for equal values; they are good for these rows
    only. Texts too long to be compared are left out, as by filters.
    """
    places: list[Ints] = []
    numbers: list[Ints] = []
    first = 0
    field = attributes.field(path)
    for postings, left_out in _comparable(field) if field is not None else ():
        place, values = _found(postings, rows)
        kept = values != left_out
        distinct, number = np.unique(values[kept], return_inverse=True)
        places.append(place[kept])
        numbers.append(number + first)
        first += len(distinct)
    if not first:
        return np.zeros(len(rows) + 1, np.int64), np.empty(0, np.int64)
    pairs = np.unique(np.concatenate(places) * first + np.concatenate(numbers))
    offsets = (pairs // first).searchsorted(np.arange(len(rows) + 1))
    return offsets.astype(np.int64), pairs % first


def _comparable(field: Field) -> Iterator[tuple[Postings[Any], float]]:
    """Yield the postings that have values, each with the one that is none."""
    if field.texts is not None:
        yield field.texts.postings, NOT_KEPT
    if field.numbers is not None:
        yield field.numbers, np.nan
    if field.flags is not None:
        yield field.flags, -1


def _found(postings: Postings[Any], rows: Ints) -> tuple[Ints, NDArray[Any]]:
    """Return the postings of `rows` (n,): the place in `rows` of each, and its value."""
    # The rows are read first, since they are written last.
    posted = postings.rows.values
    wanted = rows.astype(np.int32)
    starts = posted.searchsorted(wanted, side="left")
    lengths = posted.searchsorted(wanted, side="right") - starts
    places = np.repeat(np.arange(len(rows)), lengths)
    within = np.arange(len(places)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return places, postings.values.values[starts[places] + within]
