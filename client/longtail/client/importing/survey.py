"""What each column of a file holds, found by looking at all of it before anything is sent.

A column has one type. In text it is a number, a truth value or a list only if each value in it is,
and a number only if it would be written back as it stands: 01234, 12e3, and 1.10 beside 1.1 are
text.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from enum import Enum
from itertools import islice
from typing import Any

from longtail.client.calls.attributes import MAX_INTEGER
from longtail.client.importing import literals, values
from longtail.client.importing.rows import Row, Source
from longtail.client.importing.times import Times

# What divides the elements of a list that is written in a cell, the surest first.
DIVIDERS = ("|", ";", ",")


# Takes the share of a file that was looked at, and the rows.
Show = Callable[[float | None, int], None]
SHOWN_EVERY = 1_000
# Rows by which it is judged whether ids are numbers.
SAMPLE = 10_000


class Kind(Enum):
    """What the values of a column are."""

    TEXT = "text"
    NUMBER = "number"
    FLAG = "true or false"
    LIST = "list"


@dataclass
class Column:
    """What has been seen of the values of a column of text so far."""

    seen: int = 0
    numbers: bool = True
    # Of numbers with a fraction: those that end in 0, and the digits behind the point.
    padded: bool = False
    places: set[int] = field(default_factory=set)
    flags: bool = True
    lists: bool = True
    dividers: set[str] = field(default_factory=set)
    # The first value that is no number where those before it are, and its line.
    against: tuple[int, str] | None = None

    def look(self, line: int, text: str) -> None:
        """Take in a value."""
        if self.numbers and not self._take_number(text):
            self.numbers = False
            self.against = (line, text) if self.seen else None
        if self.flags:
            self.flags = literals.flag(text) is not None
        if self.lists:
            self.lists = text.startswith("[") and listed(text) is not None
        self.dividers.update(each for each in DIVIDERS if each in text)
        self.seen += 1

    @property
    def kind(self) -> Kind:
        """What the column holds, going by all that was seen."""
        if not self.seen:
            return Kind.TEXT
        if self.flags:
            return Kind.FLAG
        if self.numbers and not (self.padded and len(self.places) > 1):
            return Kind.NUMBER
        return Kind.LIST if self.lists else Kind.TEXT

    @property
    def divider(self) -> str:
        """What divides the elements of its lists."""
        return next((each for each in DIVIDERS if each in self.dividers), DIVIDERS[0])

    def _take_number(self, text: str) -> bool:
        if literals.WHOLE.fullmatch(text):
            return abs(int(text)) <= MAX_INTEGER
        decimal = literals.DECIMAL.fullmatch(text)
        if decimal is None:
            return literals.is_written_so(text)
        self.places.add(len(decimal[1]))
        if literals.is_written_so(text):
            return True
        # 3.50 among others with two places is a number; alone among others it is a code.
        self.padded = True
        return len(text) <= literals.MAX_DECIMAL


@dataclass(frozen=True)
class Survey:
    """The columns of a file, by name, and the times of one of them."""

    columns: Mapping[str, Column]
    times: Times


def surveyed(
    source: Source, attributes: Iterable[str], time: str | None, times: Times, show: Show
) -> Survey:
    """Read all of a file, to see what its columns `attributes` and its times in `time` are.

    `show` is told how far it is.
    """
    columns = {} if source.typed else {name: Column() for name in attributes}
    if columns or time is not None:
        for count, row in enumerate(source.rows()):
            if count % SHOWN_EVERY == 0:
                show(source.fraction_read(), count)
            if isinstance(row, Row):
                for name, column in columns.items():
                    value = row.values[name].strip()
                    if not values.is_missing(value):
                        column.look(row.line, value)
                if time is not None:
                    times.look(row.values.get(time))
    return Survey(columns, times)


def of_numbers(source: Source, names: Iterable[str | None]) -> frozenset[str]:
    """Return those of the columns `names` whose first values are numbers, where they have any."""
    numbers = {name for name in names if name is not None}
    rows = source.rows()
    with closing(rows):
        for row in islice(rows, SAMPLE):
            if not numbers:
                break
            if isinstance(row, Row):
                numbers -= {
                    name
                    for name in numbers
                    if not values.is_missing(row.values.get(name))
                    and not values.is_number(row.values[name])
                }
    return frozenset(numbers)


def listed(text: str) -> list[Any] | None:
    """Return the list that a text is in JSON or in Python; None when it is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = literals.python(text)
    return found if isinstance(found, list) else None
