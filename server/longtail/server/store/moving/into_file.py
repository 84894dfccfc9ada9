"""Copy a store, of whichever engine, into one file of SQLite as it was at one revision."""

import sqlite3
import uuid
from collections.abc import Callable
from contextlib import closing, nullcontext
from pathlib import Path

from longtail.server.process.durable import flush
from longtail.server.store.database import Database
from longtail.server.store.moving.copying import TableCopy, copy_table, hasten, row_counts, tables
from longtail.server.store.sqlite.failures import told_plainly
from longtail.server.store.sqlite.opening import COMPANIONS, open_database
from sqlalchemy import Connection, Engine

# Rows that are held of either at a time, fewer of large ones.
ROWS = 5000


def copy_into_file(
    source: Engine, size: int, target: Path, progress: Callable[[int, int], None]
) -> None:
    """Copy a store into the one file `target`, flushed, in one transaction that reads.

    `progress` gets the bytes copied and in all, of the `size` that the store takes. Writers are not
    held up. The copy has an identity of its own, as one by `back_up` has. Raises StorageFull,
    Unavailable and CopyDiffers, and leaves no file.
    """
    files = [target.with_name(target.name + suffix) for suffix in ("", *COMPANIONS)]
    try:
        with closing(open_database(target)) as copy, source.connect() as connection:
            _copy(connection, copy, lambda share: progress(round(share * size), size))
        with told_plainly(), closing(sqlite3.connect(target, isolation_level=None)) as file:
            file.execute("PRAGMA journal_mode=DELETE").fetchone()
            file.execute("UPDATE sequence SET identity = ?", (uuid.uuid4().hex,))
        flush(target)
        flush(target.parent)
    except BaseException:
        for path in files:
            path.unlink(missing_ok=True)
        raise


def _copy(source: Connection, copy: Database, progress: Callable[[float], None]) -> None:
    def reading() -> nullcontext[Connection]:
        return nullcontext(source)

    counts = row_counts(reading)
    before, total = 0, sum(counts.values())

    def tell(done: TableCopy) -> None:
        progress((before + done.rows) / total)

    with copy.writing.connect() as written:
        hasten(written)
        for table in tables():
            before += copy_table(table, reading, written, ROWS, tell).rows
