"""The attributes of items in memory: typed postings by dotted path, and the values of each row."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from longtail.server.catalogue.array_file import Arrays, Named, below, named_below
from longtail.server.catalogue.columns.growing import GrowingArray
from longtail.server.catalogue.columns.postings import NOT_KEPT, Mask, Postings, Rows, TextPostings
from longtail.server.catalogue.columns.row_values import RowValues
from longtail.server.process.interpreter import giving_way
from longtail.server.store.attribute_names import values_in
from numpy.typing import NDArray

Ints = NDArray[np.int64]

# So many attributes may be held that no row has any more, or as many as there are.
MOST_GONE = 1000
# Of values as text.
KEPT_PAIRS = 10_000
# The key of a value in its row is KINDS times the number of its field, and its kind.
TEXT, NUMBER, FLAG, KINDS = range(4)
# Rows whose values are put side by side at a time.
BLOCK = 1 << 14

Gathered = tuple[str, type, list[int], list[Any]]


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
        texts = None if self.texts is None else self.texts.postings
        return _values(self.number, texts, self.numbers, self.flags, start, stop)

    def gathered(self, rows: Ints) -> Iterator[Gathered]:
        """Yield what `rows` (n,) hold: the path, a type, places in `rows`, ascending, and values.

        type(None) stands for presence.
        """
        if self.texts is not None:
            places, codes = self.texts.postings.among(rows)
            yield self.path, str, places.tolist(), list(map(self.texts.text, codes.tolist()))
        for kind, postings in (
            (float, self.numbers),
            (bool, self.flags),
            (type(None), self.presence),
        ):
            if postings is not None:
                places, values = postings.among(rows)
                yield self.path, kind, places.tolist(), values.tolist()

    @classmethod
    def of(cls, path: str, number: int, arrays: Arrays) -> "Field":
        """Return what was written of a field."""
        texts, numbers = named_below("texts/", arrays), named_below("numbers/", arrays)
        flags, presence = named_below("flags/", arrays), named_below("presence/", arrays)
        return cls(
            path,
            number,
            TextPostings.of(texts) if texts else None,
            Postings.of(numbers) if numbers else None,
            Postings.of(flags) if flags else None,
            Postings.of(presence) if presence else None,
        )


def _values(
    number: int,
    texts: Postings[np.int32] | None,
    numbers: Postings[np.float64] | None,
    flags: Postings[np.int8] | None,
    start: int,
    stop: int,
) -> Iterator[tuple[int, Rows, Ints]]:
    key = KINDS * number
    if texts is not None:
        rows, codes = texts.between(start, stop)
        kept = codes != NOT_KEPT
        yield key + TEXT, rows[kept] - start, codes[kept].astype(np.int64)
    if numbers is not None:
        rows, found = numbers.between(start, stop)
        # The sum has no zero below zero.
        yield key + NUMBER, rows - start, (found + 0.0).view(np.int64)
    if flags is not None:
        rows, truths = flags.between(start, stop)
        yield key + FLAG, rows - start, truths.astype(np.int64)


# In the place of what was let go of.
GONE = Field("", 0)


class AttributeColumns:
    """Attributes by row. One thread appends; others read rows that they know of without a lock."""

    def __init__(self) -> None:
        self._fields: dict[str, Field] = {}
        self._numbered: list[Field] = []
        self._rows = RowValues()
        # The latest that were written out; what a key and a value stand for never changes.
        self._pairs: dict[tuple[int, int], str] = {}
        self._count = 0
        self._most = MOST_GONE

    @classmethod
    def of(cls, arrays: Arrays) -> "AttributeColumns":
        """Return what `kept` has written."""
        columns = cls()
        about = json.loads(arrays["about"].values.tobytes())
        columns._count = about["count"]
        of_field: dict[str, dict[str, GrowingArray[Any]]] = {}
        for name, array in arrays.items():
            begin, _, rest = name.partition("/")
            of_field.setdefault(begin, {})[rest] = array
        for number, path in enumerate(about["paths"]):
            field = Field.of(path, number, of_field[str(number)])
            columns._fields[path] = field
            columns._numbered.append(field)
        columns._rows = RowValues.mapped(named_below("rows/", arrays))
        columns._most = max(MOST_GONE, 2 * len(columns._fields))
        return columns

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

    def held(self, rows: Sequence[int]) -> list[set[tuple[int, int]]]:
        """Return `values` of each of `rows`, -1 for a row without any: key and number."""
        return self._rows.held(rows)

    def pair(self, key: int, value: int) -> str:
        """Return one of `values` as `path=value`."""
        pair = self._pairs.get((key, value))
        if pair is None:
            if len(self._pairs) == KEPT_PAIRS:
                self._pairs.clear()
            pair = self._pairs[key, value] = self._numbered[key // KINDS].pair(key % KINDS, value)
        return pair

    def append(self, mappings: Sequence[Mapping[str, Any]]) -> None:
        """Append a row for each of `mappings`, JSON objects."""
        # Each type's places and values by path; type(None) stands for presence.
        gathered: dict[tuple[str, type], tuple[list[int], list[Any]]] = {}
        for place, attributes in enumerate(mappings):
            for path, value in values_in(attributes):
                kind = float if type(value) is int else type(value)
                places, values = gathered.setdefault((path, kind), ([], []))
                places.append(place)
                values.append(value)
        self._append_all(((*key, *held) for key, held in gathered.items()), len(mappings))

    def append_from(self, other: "AttributeColumns", rows: Ints) -> None:
        """Append what other columns hold of `rows` (n,). Neither may change meanwhile."""
        held = (each for field in other._fields.values() for each in field.gathered(rows))
        self._append_all((each for each in held if each[2]), len(rows))

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

    def kept(self, rows: Ints) -> Named:
        """Yield the arrays of `rows` (n,), each at most once, to be written; -1: nothing."""
        fields, count = list(self._fields.values()), self._count
        new_row = np.full(max(count, int(rows.max(initial=-1)) + 1), -1, np.int32)
        held = np.flatnonzero(rows >= 0)
        new_row[rows[held]] = held
        paths: list[str] = []
        parts = []
        for field in giving_way(fields):
            texts = field.texts and field.texts.kept(new_row)
            numbers = field.numbers and field.numbers.taken(new_row)
            flags = field.flags and field.flags.taken(new_row)
            presence = field.presence and field.presence.taken(new_row)
            if not (texts or numbers or flags or presence):
                continue
            begin = f"{len(paths)}/"
            if texts:
                yield from below(begin + "texts/", texts[1])
            if numbers:
                yield from below(begin + "numbers/", numbers.kept())
            if flags:
                yield from below(begin + "flags/", flags.kept())
            if presence:
                yield from below(begin + "presence/", presence.kept())
            parts.append((len(paths), texts[0] if texts else None, numbers, flags))
            paths.append(field.path)
        side_by_side = RowValues()
        for start in range(0, len(rows), BLOCK):
            stop = min(len(rows), start + BLOCK)
            found = [value for part in parts for value in _values(*part, start, stop)]
            side_by_side.append(stop - start, found)
        yield from below("rows/", side_by_side.kept())
        about = json.dumps({"paths": paths, "count": len(rows)}).encode()
        yield "about", [np.frombuffer(about, np.uint8)]

    def _append_all(self, gathered: Iterable[Gathered], count: int) -> None:
        """Append `count` rows; `gathered` has the places of rows among them."""
        touched = dict[str, Field]()
        for path, kind, places, values in giving_way(gathered):
            self._append(path, kind, [self._count + place for place in places], values)
            touched[path] = self._fields[path]
        self._append_rows(touched.values(), count)

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
