"""What every kind of file is read as: rows in their order, the bad ones in their places."""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any


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
