"""A store with rows in every table, of values that engines may hold differently."""

import itertools
from collections.abc import Iterator
from typing import Any

from longtail.server.store.schema import metadata, sequence
from sqlalchemy import Column, Connection, Table, func, insert, select, update
from sqlalchemy.types import BigInteger, Boolean, Float, Integer, LargeBinary, String

TEXTS = [
    "",
    "a",
    "B",
    "'\"\\\t\r\n%s:x",
    "naïve",
    "\N{LATIN SMALL LETTER E}\u0301",
    "\uffff",
    "🎬",
    "\\N",
]
FLOATS = [0.0, -0.0, 0.1, 5e-324, 1.7976931348623157e308, -1 / 3]
BYTES = [b"", bytes(range(256)), b"\\x00", b"\xff\xfe"]


def fill(connection: Connection, rows: int) -> None:
    """Add `rows` rows to each table that may have more than one, and move the sequence on."""
    for table in metadata.sorted_tables:
        if not connection.execute(select(func.count()).select_from(table)).scalar():
            connection.execute(insert(table), list(itertools.islice(_invented(table), rows)))
    connection.execute(update(sequence).values(revision=10 * rows))


def contents(connection: Connection) -> dict[str, list[str]]:
    """Return the rows of each table, exactly but for the sign of a zero, sorted."""
    return {
        table.name: sorted(
            ascii([0.0 if value == 0.0 and isinstance(value, float) else value for value in row])
            for row in connection.execute(select(table))
        )
        for table in metadata.sorted_tables
    }


def _invented(table: Table) -> Iterator[dict[str, Any]]:
    roles = iter(["current", "next"])
    for number in itertools.count(1):
        row = {c.name: _value(c, number) for c in table.columns}
        if "role" in row:
            row["role"] = next(roles, "retired")
        yield row


def _value(column: Column[Any], number: int) -> object:
    if column.nullable and number % 2:
        return None
    unique = column.primary_key or column.unique or column.name == "name"
    match column.type:
        case Boolean():
            return number % 3 == 0
        case BigInteger():
            return number if unique else number * 7919 - 2**60 * (number % 2)
        case Integer():
            return number if unique else -(number % 5)
        case Float():
            return FLOATS[number % len(FLOATS)]
        case LargeBinary():
            return (b"%d" % number if unique else b"") + BYTES[number % len(BYTES)]
        case String():
            return TEXTS[number % len(TEXTS)] + (str(number) if unique else "")
    raise AssertionError(column.type)
