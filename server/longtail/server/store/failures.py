"""What SQLite raises when the disk is full or another process holds the lock, told as that."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from longtail.runtime.errors import StorageFull, Unavailable
from sqlalchemy.exc import DBAPIError

logger = logging.getLogger(__name__)

# A full disk shows as SQLITE_FULL where a write returns ENOSPC; as one of the others where a quota,
# a file-size limit or the file system says so in another place, such as when the log or its
# shared index is to grow.
FULL = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR_WRITE,
        sqlite3.SQLITE_IOERR_FSYNC,
        sqlite3.SQLITE_IOERR_DIR_FSYNC,
        sqlite3.SQLITE_IOERR_TRUNCATE,
        sqlite3.SQLITE_IOERR_SHMOPEN,
        sqlite3.SQLITE_IOERR_SHMSIZE,
        sqlite3.SQLITE_IOERR_SHMMAP,
    }
)


@contextmanager
def told_plainly() -> Iterator[None]:
    """Raise StorageFull when the disk takes no more, Unavailable when the lock is not had in time.

    Any other failure of the database is left as it is.
    """
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        code = _error_code(error)
        if code in FULL:
            logger.error("disk full error=%s", error.orig if hasattr(error, "orig") else error)
            message = "the disk is full: nothing of this write was kept"
            raise StorageFull(message) from error
        if code is not None and code & 0xFF == sqlite3.SQLITE_BUSY:
            logger.error("database locked error=%s", error)
            message = "the database is locked by another process: nothing of this write was kept"
            raise Unavailable(message) from error
        raise


def _error_code(error: Exception) -> int | None:
    cause = error.orig if isinstance(error, DBAPIError) else error
    return cause.sqlite_errorcode if isinstance(cause, sqlite3.Error) else None
