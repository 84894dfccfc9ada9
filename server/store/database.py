"""Open the database: durable settings, migrations, and storage failures told as what they are."""

import errno
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import OperationalError

from runtime.errors import StorageFull

logger = logging.getLogger(__name__)

BUSY_SECONDS = 10


def open_database(path: Path) -> Engine:
    """Open the SQLite database at `path`, made or migrated to the newest schema."""
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", _make_durable)
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return engine


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that is on disk when the block is left, or that leaves no trace.

    Raises StorageFull when the disk takes no more.
    """
    try:
        with engine.begin() as connection:
            yield connection
    except OperationalError as error:
        if not _is_full(error):
            raise
        logger.error("disk full path=%s", engine.url.database)
        raise StorageFull("the disk is full: nothing of this write was kept") from error


def _make_durable(connection: sqlite3.Connection, _record: object) -> None:
    # In WAL mode only FULL keeps a committed transaction through a loss of power.
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}")


def _is_full(error: OperationalError) -> bool:
    cause = error.orig
    if isinstance(cause, sqlite3.Error) and cause.sqlite_errorcode is not None:
        # A file-size limit shows as a failed write.
        return cause.sqlite_errorcode in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE)
    return isinstance(cause, OSError) and cause.errno == errno.ENOSPC
