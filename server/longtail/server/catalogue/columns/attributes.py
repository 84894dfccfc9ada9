"""The attributes of items in memory: typed postings by dotted path."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from longtail.server.catalogue.columns.postings import Postings, Rows, TextPostings
from numpy.typing import NDArray

Ints = NDArray[np.int64]

# A field with a longer path cannot be asked for; the contract's limit of Condition.field.
MAX_PATH = 256


@dataclass(slots=True)
class Field:
    """What an attribute holds, by type; None where no row has a value of it.

    `presence`: rows that have the attribute without a value of its own: objects, lists of such
    and empty lists. Its values say nothing.
    """

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

    def taken(self, new_row: Rows) -> "Field":
        """Return a copy as Postings.taken does."""
        return Field(
            self.texts and self.texts.taken(new_row),
            self.numbers and self.numbers.taken(new_row),
            self.flags and self.flags.taken(new_row),
            self.presence and self.presence.taken(new_row),
        )


class AttributeColumns:
    """Attributes by row. One thread appends; others read rows that they know of without a lock."""

    def __init__(self) -> None:
        self._fields: dict[str, Field] = {}
        self._count = 0

    def field(self, path: str) -> Field | None:
        """Return what the attribute of a dotted path holds, None when no row ever had it."""
        return self._fields.get(path)

    def append(self, mappings: Sequence[Mapping[str, Any]]) -> None:
        """Append a row for each of `mappings`, JSON objects."""
        # Each type's rows and values by path; type(None) stands for presence.
        gathered: dict[tuple[str, type], tuple[list[int], list[Any]]] = {}
        for row, attributes in enumerate(mappings, self._count):
            for path, value in _values_in(attributes):
                kind = float if type(value) is int else type(value)
                rows, values = gathered.setdefault((path, kind), ([], []))
                rows.append(row)
                values.append(value)
        for (path, kind), (rows, values) in gathered.items():
            self._append(path, kind, rows, values)
        self._count += len(mappings)

    def take(self, rows: Ints) -> "AttributeColumns":
        """Return new columns (n,) with the content of `rows` (n,), each at most once; -1: nothing.

        Must not run beside `append`.
        """
        new_row = np.full(self._count, -1, np.int32)
        kept = np.flatnonzero(rows >= 0)
        new_row[rows[kept]] = kept
        columns = AttributeColumns()
        columns._count = len(rows)
        for path, field in self._fields.items():
            taken = field.taken(new_row)
            if any(taken.all_postings()):
                columns._fields[path] = taken
        return columns

    def _append(self, path: str, kind: type, rows: list[int], values: list[Any]) -> None:
        field = self._fields.get(path) or Field()
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


def _values_in(attributes: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    # None is yielded for an object, and for a list without a value of its own.
    pending: list[tuple[str, Any]] = list(attributes.items())
    while pending:
        path, value = pending.pop()
        if len(path) > MAX_PATH or value is None:
            continue
        if isinstance(value, dict):
            yield path, None
            pending += [(f"{path}.{name}", inner) for name, inner in value.items()]
        elif isinstance(value, list):
            if not any(isinstance(element, (str, int, float)) for element in value):
                yield path, None
            pending += [(path, element) for element in value]
        else:
            yield path, value
