"""Open a database of PostgreSQL: one order of writes among all servers, and the same migrations."""

import logging
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import psycopg
from alembic.util import CommandError
from longtail.runtime.errors import FailedPrecondition, StoreDamaged, Unavailable
from longtail.server.store.database import Database, Read, Rows
from longtail.server.store.migration import is_store, lost_tables, migrate
from longtail.server.store.moving.into_file import copy_into_file
from longtail.server.store.postgresql.bulk import insert_rows
from longtail.server.store.postgresql.connecting import Address
from longtail.server.store.postgresql.failures import plain, tell
from longtail.server.store.postgresql.listening import ANNOUNCE, listen
from longtail.server.store.postgresql.office import MaintenanceLock
from longtail.server.store.schema import metadata
from longtail.server.store.seal import check_unsealed
from longtail.server.store.transaction import Transaction
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine.interfaces import DBAPIConnection, IsolationLevel
from sqlalchemy.exc import InvalidatePoolError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

logger = logging.getLogger(__name__)

Driven: TypeAlias = "psycopg.Connection[Any]"

OLDEST = 14
# A connection that was not used for longer is looked at first.
IDLE_SECONDS = 0.5
# That are kept; each thread that reads has one, so that none waits for another's.
POOL_SIZE = 8
# Of the locks of a database this one is ours: "Longtail".
MIGRATION_LOCK = 0x4C6F6E677461696C
# Of the tables that the erasure of a person leaves dead rows in.
VACUUM = "VACUUM interactions, impressions, popularity, exposure"


def open_shared_database(url: str, *, sealed: bool = False, make: bool = True) -> Database:
    """Open the database at `url`, migrated to the newest schema, or made a store if `make` says so.

    Of several servers that come at once one does that. Raises FailedPrecondition where it is none
    of ours, not to be used by us, or sealed, unless `sealed` ones are wanted too; and Unavailable
    when it cannot be reached.
    """
    address = Address(url)
    reading = _engine(address, "REPEATABLE READ", _prepare_for_reading)
    # What waited for the lock sees what was written meanwhile.
    writing = _engine(address, "READ COMMITTED", _prepare_for_writing)

    def close() -> None:
        reading.dispose()
        writing.dispose()
        office.release()

    office = MaintenanceLock(address)
    try:
        with _understood(address.name), writing.begin() as connection:
            _check_server(connection)
            _make_or_migrate(connection, sealed=sealed, make=make)
    except BaseException:
        close()
        raise
    return Database(
        name=address.name,
        file=None,
        shared=True,
        size=partial(_size, reading),
        engine=reading,
        single=reading.execution_options(isolation_level="AUTOCOMMIT"),
        writing=writing.execution_options(locked=True),
        reading=partial(_reading, reading),
        is_whole=_is_whole,
        announce=_announce,
        written=partial(listen, address),
        maintains=office.hold,
        write_anew=partial(_vacuum, writing),
        back_up=partial(_back_up, reading),
        close=close,
    )


def _engine(
    address: Address, isolation: IsolationLevel, prepare: Callable[[Driven, object], None]
) -> Engine:
    engine = create_engine(
        "postgresql+psycopg://",
        creator=address.connect,
        isolation_level=isolation,
        pool_size=POOL_SIZE,
        max_overflow=-1,
        # What is written and asked for is no business of the log.
        hide_parameters=True,
    )
    event.listen(engine, "connect", prepare)
    event.listen(engine, "connect", _note_use)
    event.listen(engine, "checkin", _note_use)
    event.listen(engine, "checkout", partial(_check_use, engine))
    event.listen(engine, "begin", _lock)
    event.listen(engine, "do_executemany", insert_rows)
    event.listen(engine, "handle_error", tell)
    return engine


def _note_use(_connection: object, record: ConnectionPoolEntry) -> None:
    record.info["used"] = time.monotonic()


def _check_use(
    engine: Engine, connection: DBAPIConnection, record: ConnectionPoolEntry, _checked_out: object
) -> None:
    """Find out, before anything is asked, whether the server was started anew meanwhile."""
    if time.monotonic() - record.info["used"] > IDLE_SECONDS:
        try:
            engine.dialect.do_ping(connection)
        except psycopg.Error as error:
            raise InvalidatePoolError from error


def _prepare_for_reading(connection: Driven, _record: object) -> None:
    connection.read_only = True


def _prepare_for_writing(connection: Driven, _record: object) -> None:
    # What is acknowledged is on the disk, whatever the server is set to.
    connection.execute(
        "SELECT set_config('synchronous_commit', 'on', false)"
        " WHERE current_setting('synchronous_commit') = 'off'"
    )
    connection.commit()


def _lock(connection: Connection) -> None:
    """Wait for all who write: revisions are so given out in the order of the commits."""
    if connection.get_execution_options().get("locked"):
        connection.exec_driver_sql("SELECT FROM sequence FOR UPDATE")


def _check_server(connection: Connection) -> None:
    version, number, encoding, fsync = connection.exec_driver_sql(
        "SELECT current_setting('server_version'), current_setting('server_version_num')::int,"
        " current_setting('server_encoding'), current_setting('fsync')"
    ).one()
    if number < OLDEST * 10_000:
        raise FailedPrecondition(f"it is PostgreSQL {version}: it takes {OLDEST} or newer")
    if encoding != "UTF8":
        raise FailedPrecondition(f"its encoding is {encoding}: make a database with UTF8")
    if fsync != "on":
        logger.warning("fsync of the database is off: it may lose writes when its machine fails")


def _make_or_migrate(connection: Connection, *, sealed: bool, make: bool) -> None:
    connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
    if not sealed:
        check_unsealed(connection)
    if not is_store(connection):
        if not make:
            raise FailedPrecondition("there is no store")
        there = set(inspect(connection).get_table_names()) & metadata.tables.keys()
        if there:
            raise FailedPrecondition(
                f"it has a table {min(there)} of somebody else's: make a database of its own"
            )
    # A move copies all that there is, so it has to know all.
    migrate(connection, expanded=not sealed)
    if lost := lost_tables(connection):
        raise StoreDamaged(f"it has no table {min(lost)}")


@contextmanager
def _understood(name: str) -> Iterator[None]:
    """Raise what says what to do about the database `name`, and of which it is."""
    try:
        yield
    except StoreDamaged as error:
        raise StoreDamaged(f"{name}: {error.problem}") from error
    except FailedPrecondition as error:
        raise FailedPrecondition(f"{name}: {error}") from None
    except Unavailable as error:
        said = _refusal(str(error.__cause__ or "")) or f"{error}: {error.__cause__}"
        problem = f"{name}: {' '.join(said.split())}"
        raise Unavailable(problem, retry_seconds=error.retry_seconds) from error
    except CommandError as error:
        raise FailedPrecondition(
            f"{name}: its schema is unknown to this version; run the one that wrote it: {error}"
        ) from error
    except SQLAlchemyError as error:
        # What the server has against it, such as rights that are missing.
        said = " ".join(str(getattr(error, "orig", None) or error).split())
        raise FailedPrecondition(f"{name}: {said}") from error


def _refusal(said: str) -> str:
    """Return what the server has against a connection, empty where none answered.

    The driver has no code of that. It may have tried several times; of each it says at length how.
    """
    if "no password supplied" in said:
        return "it asks for a password: put it into PGPASSWORD, or a file that PGPASSFILE names"
    found = re.findall(r"FATAL: +(.*)", said)
    return f"it refuses the connection: {found[-1]}" if found else ""


@contextmanager
def _reading(engine: Engine) -> Iterator[Read]:
    connection: Any = None
    try:
        connection = engine.raw_connection()
        cursor = connection.cursor()

        def read(statement: str, parameters: Sequence[Any] = (), /) -> Rows:
            rows: Rows = cursor.execute(statement.replace("?", "%s"), parameters)
            return rows

        yield read
    except psycopg.Error as error:
        told = plain(error)
        if told is None:
            raise
        raise told from error
    finally:
        if connection is not None:
            connection.close()


def _is_whole(connection: Connection) -> bool:
    if connection.invalidated:
        return False
    driver_connection: Any = connection.connection.driver_connection
    status = driver_connection.info.transaction_status
    return status in (TransactionStatus.INTRANS, TransactionStatus.INERROR)


def _announce(tx: Transaction) -> None:
    tx.exec_driver_sql(ANNOUNCE)


def _size(engine: Engine) -> int:
    with engine.connect() as connection:
        sizes = text(
            "SELECT sum(pg_total_relation_size(to_regclass(name)))"
            " FROM unnest(CAST(:names AS text[])) AS name"
        )
        return int(connection.execute(sizes, {"names": list(metadata.tables)}).scalar_one())


def _back_up(engine: Engine, target: Path, progress: Callable[[int, int], None]) -> None:
    copy_into_file(engine, _size(engine), target, progress)


def _vacuum(engine: Engine) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(VACUUM)
