"""Many rows at once: a statement that has whole columns as its parameters, or COPY."""

import re
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import psycopg
from longtail.runtime.errors import FailedPrecondition
from longtail.server.store.postgresql.failures import plain
from sqlalchemy import Connection
from sqlalchemy.engine.interfaces import ExecutionContext
from sqlalchemy.sql.compiler import SQLCompiler

# An INSERT as SQLAlchemy writes it, and a value in it that is a parameter.
_INSERT = re.compile(
    r"(?P<into>INSERT INTO \S+ \([^()]*\)) VALUES \((?P<values>.*?)\)(?P<rest> ON CONFLICT .*)?",
    re.DOTALL,
)
_VALUE = re.compile(r"%\((\w+)\)s(?:::\w[\w ]*)?")
_BY_COLUMNS = "{} SELECT * FROM unnest({}){}"


class _ByColumns(NamedTuple):
    """An INSERT of any number of rows; the parameters that are columns, and those that are none."""

    statement: str
    columns: Sequence[str]
    others: Collection[str]


def insert_rows(
    cursor: "psycopg.Cursor[Any]",
    _statement: str,
    rows: Sequence[Mapping[str, Any]],
    context: ExecutionContext,
) -> bool:
    """Insert rows by one statement: for `do_executemany`; return whether it was one for this.

    The driver would send, and the server execute, one for each row, at three times the cost.
    """
    insert = _by_columns(context.compiled) if isinstance(context.compiled, SQLCompiler) else None
    if insert is None:
        return False
    others = {name: rows[0][name] for name in insert.others}
    if any(row[name] != value for name, value in others.items() for row in rows):
        return False
    cursor.execute(
        insert.statement, others | {name: [row[name] for row in rows] for name in insert.columns}
    )
    return True


@lru_cache(maxsize=64)
def _by_columns(compiled: SQLCompiler) -> _ByColumns | None:
    found = _INSERT.fullmatch(compiled.string)
    if found is None:
        return None
    values = [_VALUE.fullmatch(each) for each in found["values"].split(", ")]
    columns = [value[1] for value in values if value is not None]
    rest = found["rest"] or ""
    others = {value[1] for value in _VALUE.finditer(rest)}
    if len(columns) < len(values) or not others.isdisjoint(columns):
        return None
    # In binary form, which takes a third of the time to write and to read.
    arrays = (
        f"%({name})b::{compiled.binds[name].type.compile(compiled.dialect)}[]" for name in columns
    )
    return _ByColumns(_BY_COLUMNS.format(found["into"], ", ".join(arrays), rest), columns, others)


def copy_in(connection: Connection, into: str, rows: Sequence[Sequence[Any]]) -> None:
    """Insert rows into a table and its columns, `into`, in the transaction of the connection.

    Raises FailedPrecondition for a row that PostgreSQL cannot hold, and Unavailable.
    """
    driver: Any = connection.connection.driver_connection
    try:
        with driver.cursor() as cursor, cursor.copy(f"COPY {into} FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
    except psycopg.Error as error:
        if (told := plain(error)) is not None:
            raise told from error
        # The context that PostgreSQL tells of has the row in it.
        said = error.diag.message_primary or str(error)
        raise FailedPrecondition(f"PostgreSQL does not take a row of {into}: {said}") from None
