"""Open the database: durable settings, explicit transactions, migrations."""

import os
import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from alembic.util import CommandError
from longtail.runtime.errors import FailedPrecondition, StoreDamaged
from longtail.server.process.at_rest import forget
from longtail.server.process.durable import flush
from longtail.server.store.database import Database, Read
from longtail.server.store.decay import decayed
from longtail.server.store.migration import is_store, lost_tables, migrate
from longtail.server.store.revisions import current_revision
from longtail.server.store.seal import check_unsealed
from longtail.server.store.sqlite.backup import back_up
from longtail.server.store.sqlite.failures import UNREADABLE, of_no_use, tell, told_plainly
from longtail.server.store.sqlite.rewriting import write_anew
from longtail.server.store.transaction import Transaction
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import SQLAlchemyError

# How long a writer waits for one in another process.
BUSY_SECONDS = 10
# That are kept, each with a small cache; each thread that reads has one, so that none waits for
# another's.
POOL_SIZE = 8
# The log is cut back to this once a checkpoint has emptied it.
LOG_LIMIT = 64 * 2**20

# A new database is complete under a name with this before it takes its own.
UNFINISHED = ".unfinished-"
# What SQLite keeps beside a database that is open or was not closed: its log, and an index of that.
COMPANIONS = ("-wal", "-shm")


def open_database(path: Path, *, sealed: bool = False) -> Database:
    """Open the SQLite database at `path`, made or migrated to the newest schema.

    One that a newer version only expanded is opened as it is, unless `sealed`. A file that is there
    is never made to be a store, were it only empty. Raises FailedPrecondition where it is sealed,
    unless `sealed` ones are wanted too, StoreDamaged, StorageFull when there is no room for it,
    Unavailable when another process keeps it locked.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        _make(path)
    if not path.stat().st_size:
        # To SQLite it would be a new database.
        raise StoreDamaged(f"{path} is empty")
    engine = _engine(path)
    try:
        with _understood(path), _for_writing(engine).begin() as connection:
            # It has a log by now, by which others see that it is open.
            forget(path)
            if not is_store(connection):
                raise StoreDamaged("it is no store of this program")
            if not sealed:
                check_unsealed(connection)
            # A move copies all that there is, so it has to know all.
            migrate(connection, expanded=not sealed)
            if lost := lost_tables(connection):
                raise StoreDamaged(f"it has no table {min(lost)}")
        # The first connection makes files that the last one deletes. With one that stays, a reader
        # that comes while the disk is full finds them.
        anchor = engine.connect()
        current_revision(anchor)
        anchor.rollback()
    except BaseException:
        engine.dispose()
        raise

    def close() -> None:
        anchor.close()
        engine.dispose()

    return Database(
        name=str(path),
        file=path,
        shared=False,
        size=lambda: path.stat().st_size,
        engine=engine,
        single=engine,
        writing=_for_writing(engine),
        reading=partial(_reading, engine),
        is_whole=_is_whole,
        announce=_tell_nobody,
        written=None,
        # The processes of one server, of which one owns the folder of the index.
        maintains=lambda: True,
        write_anew=partial(write_anew, path),
        back_up=partial(back_up, path),
        close=close,
    )


def is_open(path: Path) -> bool:
    """Return whether anybody has a database open, or had when it was killed."""
    return path.with_name(path.name + COMPANIONS[0]).exists()


def _make(path: Path) -> None:
    """Make a new database, whole or not at all; that of another process, if that was faster."""
    coming = path.with_name(f"{path.name}{UNFINISHED}{uuid.uuid4().hex}")
    try:
        engine = _engine(coming)
        try:
            with _understood(coming), _for_writing(engine).begin() as connection:
                migrate(connection, expanded=False)
        finally:
            engine.dispose()
        flush(coming)
        with suppress(FileExistsError):
            os.link(coming, path)
        flush(path.parent)
    finally:
        for suffix in ("", *COMPANIONS):
            coming.with_name(coming.name + suffix).unlink(missing_ok=True)


def _engine(path: Path) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        connect_args={"timeout": BUSY_SECONDS, "isolation_level": None},
        pool_size=POOL_SIZE,
        max_overflow=-1,
        # What is written and asked for is no business of the log.
        hide_parameters=True,
    )
    event.listen(engine, "connect", _make_durable)
    event.listen(engine, "connect", _add_functions)
    event.listen(engine, "begin", _begin)
    event.listen(engine, "handle_error", tell)
    return engine


@contextmanager
def _understood(path: Path) -> Iterator[None]:
    """Raise what `told_plainly` does, and StoreDamaged where the database is of no use.

    FailedPrecondition where another version wrote it.
    """
    try:
        with told_plainly():
            yield
    except StoreDamaged as error:
        raise StoreDamaged(f"{path}: {error.problem}") from error
    except CommandError as error:
        # Nothing is wrong with it: a newer version wrote it.
        raise FailedPrecondition(
            f"{path}: its schema is unknown to this version; run the one that wrote it: {error}"
        ) from error
    except (SQLAlchemyError, *UNREADABLE) as error:
        raise of_no_use(path, getattr(error, "orig", None) or error) from error


def _for_writing(engine: Engine) -> Engine:
    """Return the same engine with transactions that have the lock for writing from their start.

    A reader that turns writer finds that another has written meanwhile, and has to begin again.
    """
    return engine.execution_options(begin="BEGIN IMMEDIATE")


@contextmanager
def _reading(engine: Engine) -> Iterator[Read]:
    connection = engine.raw_connection()
    try:
        cursor: sqlite3.Cursor = connection.cursor()  # type: ignore[assignment]
        cursor.execute("BEGIN")
        yield cursor.execute
    finally:
        connection.close()


def _is_whole(connection: Connection) -> bool:
    # On some failures SQLite undoes the whole transaction, the savepoints of others too.
    driver_connection: Any = connection.connection.driver_connection
    return bool(driver_connection.in_transaction)


def _tell_nobody(_tx: Transaction) -> None:
    # The other processes of this machine look for themselves.
    pass


def _add_functions(connection: sqlite3.Connection, _record: object) -> None:
    # SQLite has powers only where it was built with them.
    connection.create_function("decayed", 3, decayed, deterministic=True)


def _make_durable(connection: sqlite3.Connection, _record: object) -> None:
    _keep_log(connection)
    # In WAL mode only FULL keeps a committed transaction through a loss of power.
    # What is deleted is overwritten: see Erasures for what that leaves.
    for pragma in (
        "synchronous=FULL",
        f"journal_size_limit={LOG_LIMIT}",
        "secure_delete=ON",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _keep_log(connection: sqlite3.Connection) -> None:
    # SQLite does not wait for the lock here: two processes that make a new store would collide.
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
        except sqlite3.OperationalError as error:
            locked = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not locked or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


def _begin(connection: Connection) -> None:
    # Python's sqlite3 would begin by itself, late and not before a SAVEPOINT: isolation_level None
    # keeps it from that.
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))
