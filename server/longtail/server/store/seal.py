"""The seal on a store that nobody may serve: half a copy, or one that was moved elsewhere.

It is a table that a store in service does not have. A moved store has a fence besides: triggers
that refuse every write, so that a server which had it open before cannot go on writing to it.
"""

from dataclasses import dataclass
from enum import StrEnum

from longtail.runtime.errors import FailedPrecondition
from longtail.server.store.schema import metadata
from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    String,
    Table,
    delete,
    insert,
    inspect,
    select,
)

# Not among the tables of a store: no migration makes it, and no copy has it.
sealed = Table(
    "sealed",
    MetaData(),
    Column("state", String, nullable=False),
    Column("identity", String, nullable=False),
    Column("other", String, nullable=False),
)
FENCE = "longtail_sealed"
# What PostgreSQL says that the fence refuses with; SQLite has a code of its own for triggers.
FENCE_SQLSTATE = "LT001"
# What a server is told that had the store open before.
FENCED = "the store was moved: this server is to be started anew, at where it is now"
VERBS = ("INSERT", "UPDATE", "DELETE")


class State(StrEnum):
    """Why a store is sealed."""

    COPYING = "copying"
    MOVED = "moved"


@dataclass(frozen=True)
class Seal:
    """Why a store is sealed; the identity of what it is a copy of, and where the other one is."""

    state: State
    identity: str
    other: str

    def __str__(self) -> str:
        if self.state == State.MOVED:
            return (
                f"this store was moved to {self.other}: start servers on that, or move it back "
                "with longtail-migrate"
            )
        return (
            f"this store is an unfinished copy of {self.other}: run longtail-migrate with --switch "
            "to finish it"
        )


def check_unsealed(connection: Connection) -> None:
    """Raise FailedPrecondition where the store must not be served."""
    if (seal := read_seal(connection)) is not None:
        raise FailedPrecondition(str(seal))


def read_seal(connection: Connection) -> Seal | None:
    """Return the seal of a store, None where it has none."""
    if not inspect(connection).has_table(sealed.name):
        return None
    row = connection.execute(select(sealed)).one()
    return Seal(State(row.state), row.identity, row.other)


def put_seal(connection: Connection, seal: Seal) -> None:
    """Seal a store, with a fence where it was moved; it takes the place of a seal that is there."""
    sealed.create(connection, checkfirst=True)
    connection.execute(delete(sealed))
    row = {"state": seal.state.value, "identity": seal.identity, "other": seal.other}
    connection.execute(insert(sealed).values(row))
    _lift_fence(connection)
    if seal.state == State.MOVED:
        _put_fence(connection)


def remove_seal(connection: Connection) -> None:
    """Have a store be served again."""
    _lift_fence(connection)
    sealed.drop(connection, checkfirst=True)


def _put_fence(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        for table in metadata.tables:
            for verb in VERBS:
                connection.exec_driver_sql(
                    f"CREATE TRIGGER {FENCE}_{table}_{verb} BEFORE {verb} ON {table}"
                    f" BEGIN SELECT RAISE(ABORT, '{FENCE}'); END"
                )
        return
    connection.exec_driver_sql(
        f"CREATE FUNCTION {FENCE}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" RAISE EXCEPTION USING MESSAGE = '{FENCE}', ERRCODE = '{FENCE_SQLSTATE}'; END $$"
    )
    for table in metadata.tables:
        connection.exec_driver_sql(
            f"CREATE TRIGGER {FENCE} BEFORE {' OR '.join(VERBS)} OR TRUNCATE ON {table}"
            f" FOR EACH STATEMENT EXECUTE FUNCTION {FENCE}()"
        )


def _lift_fence(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        for table in metadata.tables:
            for verb in VERBS:
                connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {FENCE}_{table}_{verb}")
        return
    connection.exec_driver_sql(f"DROP FUNCTION IF EXISTS {FENCE} CASCADE")
