"""The attributes of items in memory: typed postings by dotted path, and the values of each row."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from longtail.server.catalogue.columns.postings import NOT_KEPT, Mask, Postings, Rows, TextPostings
from longtail.server.catalogue.columns.row_values import RowValues
from longtail.server.store.attribute_names import values_in
from numpy.typing import NDArray

Ints = NDArray[np.int64]

# So many attributes may be held that no row has any more, or as many as there are.
MOST_GONE = 1000
# The key of a value in its row is KINDS times the number of its field, and its kind.
TEXT, NUMBER, FLAG, KINDS = range(4)


@dataclass(slots=True)
class Field:
    """What the attribute of a path holds, by type; None where no row has a value of it.

    `presence`: rows that have the attribute without a value of its own: objects, lists of such
    and empty lists. Its values say nothing.
    """

    path: str
    number: int
    texts: TextPostings | None = None
    numbers: Postings[np.float64] | None = None
    flags: Postings[np.int8] | None = None
    presence: Postings[np.int8] | None = None

    def all_postings(self) -> Iterator[Postings[Any]]:
        """Yield the postings of every type."""
        if self.texts is not None:
            yield self.texts.postings
        for postings in (self.numbers, self.flags, self.presence):
            if postings is not None:
                yield postings

    def pair(self, kind: int, value: int) -> str:
        """Return a value of a row as `path=value`."""
        if kind == TEXT and self.texts is not None:
            return f"{self.path}={self.texts.text(value)}"
        if kind == FLAG:
            return f"{self.path}={'true' if value else 'false'}"
        # Every number is a float, and a year is better without its ".0".
        return f"{self.path}={str(_float_of(value)).removesuffix('.0')}"

    def values(self, start: int, stop: int) -> Iterator[tuple[int, Rows, Ints]]:
        """Yield by key the values of rows start .. stop - 1: the key, rows (n,) - start, values."""
        key = KINDS * self.number
        if self.texts is not None:
            rows, codes = self.texts.postings.between(start, stop)
            kept = codes != NOT_KEPT
            yield key + TEXT, rows[kept] - start, codes[kept].astype(np.int64)
        if self.numbers is not None:
            rows, numbers = self.numbers.between(start, stop)
            # The sum has no zero below zero.
            yield key + NUMBER, rows - start, (numbers + 0.0).view(np.int64)
        if self.flags is not None:
            rows, flags = self.flags.between(start, stop)
            yield key + FLAG, rows - start, flags.astype(np.int64)

    def taken(self, new_row: Rows, number: int) -> "Field":
        """Return a copy as Postings.taken does."""
        return Field(
            self.path,
            number,
            self.texts and self.texts.taken(new_row),
            self.numbers and self.numbers.taken(new_row),
            self.flags and self.flags.taken(new_row),
            self.presence and self.presence.taken(new_row),
        )


# In the place of what was let go of.
GONE = Field("", 0)


class AttributeColumns:
    """Attributes by row. One thread appends; others read rows that they know of without a lock."""

    def __init__(self) -> None:
        self._fields: dict[str, Field] = {}
        self._numbered: list[Field] = []
        self._rows = RowValues()
        self._count = 0
        self._most = MOST_GONE

    def field(self, path: str) -> Field | None:
        """Return what the attribute of a dotted path holds, None when no row ever had it."""
        return self._fields.get(path)

    def paths(self) -> list[str]:
        """Return the dotted paths of all attributes."""
        # In one step, as another thread may append.
        return list(self._fields)

    def values(self, rows: Ints) -> tuple[Ints, NDArray[np.int32], Ints]:
        """Return the values of `rows` (n,), -1 for a row without any.

        Of each the place in `rows`, ascending, its key, and a number that stands for the value of
        that key, (m,). Texts too long to be compared are left out, as by filters.
        """
        return self._rows.of(rows)

    def pair(self, key: int, value: int) -> str:
        """Return one of `values` as `path=value`."""
        field = self._numbered[key // KINDS]
        return field.pair(key % KINDS, value)

    def append(self, mappings: Sequence[Mapping[str, Any]]) -> None:
        """Append a row for each of `mappings`, JSON objects."""
        # Each type's rows and values by path; type(None) stands for presence.
        gathered: dict[tuple[str, type], tuple[list[int], list[Any]]] = {}
        for row, attributes in enumerate(mappings, self._count):
            for path, value in values_in(attributes):
                kind = float if type(value) is int else type(value)
                rows, values = gathered.setdefault((path, kind), ([], []))
                rows.append(row)
                values.append(value)
        for (path, kind), (rows, values) in gathered.items():
            self._append(path, kind, rows, values)
        touched = {path: self._fields[path] for path, _ in gathered}
        self._append_rows(touched.values(), len(mappings))

    @property
    def is_crowded(self) -> bool:
        """Whether there may be so many attributes that no row has any more that they are felt."""
        return len(self._fields) > self._most

    def forget(self, live: Mask) -> None:
        """Let go of the attributes that no row has of those that are `live`, (rows,).

        Whoever still reads an older version finds that there is no such attribute.
        """
        for path, field in list(self._fields.items()):
            if not any(live[held.rows.values].any() for held in field.all_postings()):
                del self._fields[path]
                self._numbered[field.number] = GONE
        self._most = len(self._fields) + max(MOST_GONE, len(self._fields))

    def take(self, rows: Ints) -> "AttributeColumns":
        """Return new columns (n,) with the content of `rows` (n,), each at most once; -1: nothing.

        Must not run beside `append`.
        """
        new_row = np.full(self._count, -1, np.int32)
        kept = np.flatnonzero(rows >= 0)
        new_row[rows[kept]] = kept
        columns = AttributeColumns()
        for path, field in self._fields.items():
            taken = field.taken(new_row, len(columns._numbered))
            if any(taken.all_postings()):
                columns._fields[path] = taken
                columns._numbered.append(taken)
        columns._append_rows(columns._numbered, len(rows))
        return columns

    def _append_rows(self, fields: Iterable[Field], count: int) -> None:
        until = self._count + count
        parts = [part for field in fields for part in field.values(self._count, until)]
        self._rows.append(count, parts)
        self._count = until

    def _append(self, path: str, kind: type, rows: list[int], values: list[Any]) -> None:
        field = self._fields.get(path)
        if field is None:
            field = Field(path, len(self._numbered))
            self._numbered.append(field)
        # A reader that finds postings takes them for a type that the attribute holds, so they
        # are filled first and shown then.
        if kind is str:
            texts = field.texts or TextPostings.empty()
            texts.append(rows, values)
            field.texts = texts
        elif kind is float:
            numbers = field.numbers or Postings.empty(np.float64)
            numbers.append(rows, values)
            field.numbers = numbers
        elif kind is bool:
            flags = field.flags or Postings.empty(np.int8)
            flags.append(rows, values)
            field.flags = flags
        else:
            presence = field.presence or Postings.empty(np.int8)
            presence.append(rows, np.zeros(len(rows), np.int8))
            field.presence = presence
        self._fields[path] = field


def _float_of(bits: int) -> float:
    return float(np.int64(bits).view(np.float64))
