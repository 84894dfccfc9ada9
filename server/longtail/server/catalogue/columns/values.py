"""The values that rows have of one attribute, or share of any, found by what stands for them."""

import numpy as np
from longtail.server.catalogue.columns.attributes import KINDS, AttributeColumns
from numpy.typing import NDArray

Ints = NDArray[np.int64]

# Of what two rows share.
MAX_SHARED = 10
# A `path=value` that is longer, in characters, is a text and says nothing at a glance.
MAX_PAIR = 200


def values_of(attributes: AttributeColumns, path: str, rows: Ints) -> tuple[Ints, Ints]:
    """Return the values of the attribute `path` in `rows` (n,): offsets (n + 1,), values (m,).

    The values of `rows[i]` are values[offsets[i] : offsets[i + 1]], each once: none without the
    attribute, several of a list. Equal numbers stand for equal values; they are good for these rows
    only. Texts too long to be compared are left out, as by filters.
    """
    field = attributes.field(path)
    if field is None:
        return np.zeros(len(rows) + 1, np.int64), np.empty(0, np.int64)
    places, keys, values = attributes.values(rows)
    theirs = np.flatnonzero(keys // KINDS == field.number)
    places, keys, values = places[theirs], keys[theirs], values[theirs]
    order = np.lexsort((values, keys))
    fresh = np.ones(len(order), np.bool_)
    fresh[1:] = np.diff(keys[order]).astype(np.bool_) | np.diff(values[order]).astype(np.bool_)
    numbers = np.empty(len(order), np.int64)
    numbers[order] = np.cumsum(fresh) - 1
    distinct = max(1, int(fresh.sum()))
    pairs = np.unique(places * distinct + numbers)
    offsets = (pairs // distinct).searchsorted(np.arange(len(rows) + 1))
    return offsets.astype(np.int64), pairs % distinct


def shared_attributes(attributes: AttributeColumns, rows: Ints, others: Ints) -> list[list[str]]:
    """Return what each of `rows` (n,) shares with that of `others` (n,), as `path=value`, n lists.

    By dotted path, one for each element of a list, in the order of the alphabet, MAX_SHARED at
    most; nothing for -1. Values of different types are never the same.
    """
    wanted, like = rows.tolist(), others.tolist()
    held = attributes.held([*wanted, *like])
    shared: list[list[str]] = []
    for theirs, of_other in zip(held, held[len(wanted) :], strict=False):
        pairs = [attributes.pair(key, value) for key, value in theirs & of_other]
        shared.append(sorted([pair for pair in pairs if len(pair) <= MAX_PAIR])[:MAX_SHARED])
    return shared
