"""Bring a copy of a store to what the store holds: range by range of the keys of each table.

Nothing but the copy is state: what a pass has done is what the next one finds equal, so that a copy
which was broken off goes on, and a pass which changes nothing has verified all of it.
"""

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeAlias

from longtail.server.store.moving.table_rows import Key, TableRows, Values
from longtail.server.store.schema import metadata, sequence
from sqlalchemy import Connection, Table, func, select

# Rows of a part, as they are written to be compared: what bounds the memory, but for single rows.
PART_BYTES = 8 * 2**20
FIRST_ROWS = 100

Reading: TypeAlias = Callable[[], AbstractContextManager[Connection]]


class CopyDiffers(Exception):
    """A copy does not hold what was just written to it."""


@dataclass
class TableCopy:
    """How one table was copied: rows of the source, written and deleted ones, and their checksums.

    A checksum is that of all rows in the order of their keys, whichever engine holds them.
    """

    table: str
    rows: int = 0
    written: int = 0
    deleted: int = 0
    source_sum: str = ""
    copy_sum: str = ""


Progress: TypeAlias = Callable[[TableCopy], None]


def tables() -> list[Table]:
    """Return the tables of a store, the sequence of its revisions last."""
    return [*(each for each in metadata.sorted_tables if each is not sequence), sequence]


def hasten(copy: Connection) -> None:
    """Have commits not wait for the disk: a copy that lost the last of them is brought to again."""
    driver: Any = copy.connection.driver_connection
    if copy.dialect.name == "sqlite":
        # Keys come in their order, and with them those of the indices in none.
        for pragma in ("synchronous=NORMAL", "cache_size=-65536", "wal_autocheckpoint=16384"):
            driver.execute(f"PRAGMA {pragma}").close()
    else:
        driver.execute("SET synchronous_commit TO off")
        driver.commit()


def row_counts(reading: Reading) -> dict[str, int]:
    """Return how many rows each table has; they are counted."""
    with reading() as connection:
        counts = (select(func.count()).select_from(each) for each in tables())
        return {
            each.name: int(connection.execute(count).scalar_one())
            for each, count in zip(tables(), counts, strict=True)
        }


def copy_table(
    table: Table, reading: Reading, copy: Connection, most: int, progress: Progress
) -> TableCopy:
    """Have `copy` hold of a table what the source holds; `reading` gives a connection for a read.

    Some `most` rows are held of either at a time, fewer of large ones. What was written is read
    again. Raises CopyDiffers where that is not what it should be.
    """
    rows, done = TableRows(table), TableCopy(table.name)
    sums = hashlib.sha256(), hashlib.sha256()
    after: Key | None = None
    limit = min(FIRST_ROWS, most)
    while True:
        with reading() as connection:
            wanted = _Part(rows, rows.read(connection, after, None, limit))
        through = rows.key(wanted.rows[-1]) if len(wanted.rows) == limit else None
        with copy.begin():
            held = _Part(rows, rows.read(copy, after, through, 2 * limit))
            if len(held.rows) == 2 * limit:
                # Of rows that are gone there may be any number in between.
                through = rows.key(held.rows[-1])
                wanted = _Part(rows, [row for row in wanted.rows if rows.key(row) <= through])
            if held.lines != wanted.lines:
                held = _bring(rows, copy, (after, through), held, wanted, done)
        for each, part in zip(sums, (wanted, held), strict=True):
            each.update(b"".join(part.lines))
        done.rows += len(wanted.rows)
        progress(done)
        if through is None:
            done.source_sum, done.copy_sum = (each.hexdigest() for each in sums)
            return done
        after = through
        size = sum(map(len, wanted.lines))
        limit = max(1, min(most, 2 * limit, limit * PART_BYTES // max(size, 1)))


class _Part:
    """Rows in the order of their keys, and each as it is compared."""

    def __init__(self, table: TableRows, rows: list[Values]) -> None:
        self.rows = rows
        self.lines = list(map(table.line, rows))


def _bring(
    rows: TableRows,
    copy: Connection,
    bounds: tuple[Key | None, Key | None],
    held: _Part,
    wanted: _Part,
    done: TableCopy,
) -> _Part:
    """Have a range hold what is wanted; return what it holds then."""
    there = dict(zip(map(rows.key, held.rows), held.lines, strict=True))
    coming = dict(zip(map(rows.key, wanted.rows), wanted.lines, strict=True))
    # A row is deleted before others come: two of them may have changed what is unique in each.
    gone = [key for key, line in there.items() if coming.get(key) != line]
    written = [
        row
        for row, (key, line) in zip(wanted.rows, coming.items(), strict=True)
        if there.get(key) != line
    ]
    rows.replace(copy, gone, written)
    done.written += len(written)
    done.deleted += len(there.keys() - coming.keys())
    now_held = _Part(rows, rows.read(copy, *bounds, len(wanted.rows) + 1))
    if now_held.lines != wanted.lines:
        raise CopyDiffers(
            f"{rows.table.name}: {len(written)} rows were written and are read as something else: "
            "the disk or the database of the copy is not to be trusted"
        )
    return now_held
