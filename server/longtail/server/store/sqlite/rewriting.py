"""A database written anew, so that nothing of what was deleted is left in its files.

SQLite's secure_delete overwrites what is deleted, but not what lies beside it of before: when pages
are split and joined, copies of rows stay in their slack. Only a file that is written anew has none.
"""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from longtail.runtime.errors import Unavailable
from longtail.server.store.sqlite.failures import told_plainly

# How long the rewriting waits for others: writers, and readers that need the log.
PATIENCE_SECONDS = 30.0
POLL_SECONDS = 0.05


def write_anew(path: Path) -> None:
    """Write a database anew, so that it and its log hold nothing but what is in its tables.

    Who writes meanwhile waits; it takes about as long as to copy the file, and as much room again
    in its folder and in that of temporary files. Raises StorageFull, StoreDamaged, and Unavailable
    when others kept it from that: then it is to be tried again.
    """
    with told_plainly(), closing(_connect(path)) as connection:
        connection.execute("VACUUM")
        until = time.monotonic() + PATIENCE_SECONDS
        # Until the log is cut to nothing it has the pages of before.
        while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            if time.monotonic() > until:
                raise Unavailable("readers keep the log of the store from being cut")
            time.sleep(POLL_SECONDS)


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=PATIENCE_SECONDS, isolation_level=None)
