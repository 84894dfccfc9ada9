"""What SQLite raises when the disk is full, another holds the lock, or the file is damaged.

It is told as that, and without what was written or asked: SQLAlchemy hides the parameters, and what
Python itself tells of a text is taken out.
"""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from longtail.runtime.errors import FailedPrecondition, StorageFull, StoreDamaged, Unavailable
from longtail.server.store.failures import FAILURES
from longtail.server.store.seal import FENCE, FENCED
from sqlalchemy import ExceptionContext

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
# A file that ends before its pages do, or that cannot be read, is as damaged as one with bad pages.
DAMAGED = frozenset({sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ})
DAMAGED_KINDS = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
CLOSED = frozenset({sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY})
# Messages of SQLite may hold what a damaged file has in the place of a name.
UNREADABLE = (sqlite3.Error, UnicodeDecodeError)
# How Python begins to tell of a text that is none, before it shows it.
NOT_UTF8 = "Could not decode to UTF-8"


@contextmanager
def told_plainly() -> Iterator[None]:
    """Raise StorageFull when the disk takes no more, Unavailable when the lock is not had in time.

    Raises StoreDamaged when SQLite finds the file damaged. Any other failure of the database is
    left as it is.
    """
    try:
        yield
    except sqlite3.Error as error:
        code = _error_code(error)
        if code in FULL:
            FAILURES.labels("full").inc()
            logger.error("disk full error=%s", error)
            message = "the disk is full: nothing of this write was kept"
            raise StorageFull(message) from error
        if code & 0xFF == sqlite3.SQLITE_BUSY:
            FAILURES.labels("locked").inc()
            logger.error("database locked error=%s", error)
            message = "the database is locked by another process: nothing of this write was kept"
            raise Unavailable(message) from error
        if code == sqlite3.SQLITE_CONSTRAINT_TRIGGER and str(error) == FENCE:
            raise FailedPrecondition(FENCED) from error
        if is_damage(error):
            FAILURES.labels("damaged").inc()
            raise StoreDamaged(str(error)) from error
        raise


def tell(context: ExceptionContext) -> None:
    """Raise what `told_plainly` does in place of what SQLite raised: for `handle_error`."""
    error = context.original_exception
    if str(error).startswith(NOT_UTF8):
        # What follows is the text itself.
        error.args = (NOT_UTF8,)
    if isinstance(error, sqlite3.Error):
        with suppress(sqlite3.Error), told_plainly():
            raise error


def is_damage(error: BaseException | None) -> bool:
    """Return whether an error of SQLite says that the file is damaged."""
    code = _error_code(error)
    return code in DAMAGED or code & 0xFF in DAMAGED_KINDS or str(error) == NOT_UTF8


def of_no_use(path: Path, error: BaseException) -> StoreDamaged | OSError:
    """Return what to raise of a database that cannot be opened or read: OSError without rights."""
    if _error_code(error) & 0xFF in CLOSED:
        return OSError(f"{path}: {error}: does it belong to this user?")
    return StoreDamaged(f"{path}: {error}")


def _error_code(error: BaseException | None) -> int:
    # Those that Python's module raises itself have none.
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)
