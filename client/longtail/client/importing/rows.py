"""What every kind of file is read as: rows in their order, the bad ones in their places."""

import re
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# The names that a data frame gives to a column that has none.
_NAMELESS = re.compile(r"(Unnamed: \d+|__index_level_\d+__)?")


class FileError(Exception):
    """A file that cannot be read, or that lacks a column; the message is for its owner."""


@dataclass(frozen=True)
class Row:
    """One row; `line` is where it starts in the file, from 1 (in Parquet and JSON: its number)."""

    line: int
    values: Mapping[str, Any]


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used: `reason` is one of a few, `detail` says more about this row."""

    line: int
    reason: str
    detail: str = ""


Rows = Generator[Row | BadRow]


@dataclass(frozen=True)
class Source:
    """A file of rows that can be read again and again.

    `rows`: reads it from its beginning. `fraction_read`: how much the latest reading has read, 0 to
    1. `typed`: values are as the file has them; False where all of them are text. `split`: columns
    of which the file itself says that they are lists, divided by blanks. `texts`: columns of which
    it says that they are text. `remarks`: what was found out about the file, for its owner.
    """

    columns: tuple[str, ...]
    rows: Callable[[], Rows]
    fraction_read: Callable[[], float]
    typed: bool
    split: frozenset[str] = frozenset()
    texts: frozenset[str] = frozenset()
    remarks: tuple[str, ...] = ()


def distinct(names: Sequence[str]) -> list[str]:
    """Return the names, the second of two that are equal as `name.1`, what has none as ""."""
    met: Counter[str] = Counter()
    found = []
    for name in names:
        if _NAMELESS.fullmatch(name):
            found.append("")
            continue
        found.append(f"{name}.{met[name]}" if met[name] else name)
        met[name] += 1
    return found


def naming(names: Sequence[str], found: Sequence[str]) -> Iterator[str]:
    """Yield what is to be told of `names` that were read as `found`."""
    nameless = sum(not name for name in found)
    if nameless:
        yield f"columns without a name are left out: {nameless}"
    renamed = [now for was, now in zip(names, found, strict=True) if now and now != was]
    if renamed:
        yield f"columns that are named twice are read as {', '.join(renamed)}"
