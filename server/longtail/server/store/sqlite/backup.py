"""Copy the database while it is written, and check a copy."""

import sqlite3
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from longtail.server.process.durable import flush
from longtail.server.store.sqlite.failures import told_plainly

# Copied between two calls of the progress: 4 MiB in pages of 4 KiB.
STEP_PAGES = 1024


def back_up(source: Path, target: Path, progress: Callable[[int, int], None]) -> None:
    """Copy the database at `source`, as of one revision, into the one file `target`, flushed.

    `progress` gets the bytes copied and the bytes in all. Writers are not held up. The copy has an
    identity of its own: once it is restored and written to, its revisions mean other things than
    those of the original. The key of tokens stays: lists that were given out are what they were.
    Raises StorageFull, and leaves no file, when there is no room.
    """
    target.unlink(missing_ok=True)
    try:
        with told_plainly():
            _copy(source, target, progress)
        flush(target)
        flush(target.parent)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _copy(source: Path, target: Path, progress: Callable[[int, int], None]) -> None:
    with (
        closing(sqlite3.connect(source, isolation_level=None)) as origin,
        closing(sqlite3.connect(target, isolation_level=None)) as copy,
    ):
        # The copy is worth nothing until it is whole, and is flushed then.
        copy.execute("PRAGMA synchronous=OFF")
        copy.execute("PRAGMA journal_mode=OFF").fetchone()
        # Within one read the copy is not begun anew at every write.
        origin.execute("BEGIN")
        (page_size,) = origin.execute("PRAGMA page_size").fetchone()
        origin.execute("SELECT revision FROM sequence").fetchone()

        def report(_status: int, remaining: int, total: int) -> None:
            progress((total - remaining) * page_size, total * page_size)

        origin.backup(copy, pages=STEP_PAGES, progress=report, sleep=0)
        origin.execute("ROLLBACK")
        copy.execute("PRAGMA journal_mode=DELETE").fetchone()
        copy.execute("UPDATE sequence SET identity = ?", (uuid.uuid4().hex,))
