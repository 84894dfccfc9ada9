"""The rows of one table, in the order of its key: read in parts, and replaced by others.

Rows are as the drivers have them, since a million of them is what this is for: tuples of the same
values from both engines, truth as 0 and 1.
"""

from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import Any, TypeAlias

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Table,
    and_,
    bindparam,
    cast,
    delete,
    select,
    tuple_,
)
from sqlalchemy.types import Boolean, Float, Integer, LargeBinary

Key: TypeAlias = tuple[Any, ...]
Values: TypeAlias = tuple[Any, ...]


class TableRows:
    """Reads and writes rows of one table, over any connection to either engine."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.names = [column.name for column in table.columns]
        self._order = key = list(table.primary_key.columns)
        first, *others = (self.names.index(column.name) for column in key)
        # The key of a row, a tuple.
        self.key: Callable[[Values], Key] = (
            itemgetter(first, *others) if others else lambda row: (row[first],)
        )
        kinds = [isinstance(column.type, LargeBinary) for column in table.columns]
        self._bytes = [place for place, is_bytes in enumerate(kinds) if is_bytes]
        self._others = [place for place, is_bytes in enumerate(kinds) if not is_bytes]
        self._delete = delete(table).where(
            and_(*(column == bindparam(f"key_{n}") for n, column in enumerate(key)))
        )

    def line(self, row: Values) -> bytes:
        """Return what tells a row from every other, to the last bit of a float.

        It is what Python writes for its values, but for bytes, which follow as they are.
        """
        if not self._bytes:
            return ascii(row).encode()
        held = [row[place] for place in self._bytes]
        told = [*(row[place] for place in self._others), *map(len, held)]
        return b"".join((ascii(told).encode(), *held))

    def read(
        self, connection: Connection, after: Key | None, through: Key | None, limit: int
    ) -> list[Values]:
        """Return the first `limit` rows after a key, up to and with another, in their order.

        The order is that of Python: texts by their code points.
        """
        query = select(*self._selected(connection)).order_by(*self._order).limit(limit)
        if after is not None:
            query = query.where(tuple_(*self._order) > tuple_(*after))
        if through is not None:
            query = query.where(tuple_(*self._order) <= tuple_(*through))
        cursor: Any = connection.execute(query).cursor
        rows: list[Values] = cursor.fetchall()
        return rows

    def replace(self, connection: Connection, gone: Iterable[Key], rows: Sequence[Values]) -> None:
        """Delete the rows of some keys, then insert others."""
        keys = [{f"key_{n}": value for n, value in enumerate(key)} for key in gone]
        if keys:
            connection.execute(self._delete, keys)
        if not rows:
            return
        quote = connection.dialect.identifier_preparer.quote
        columns = ", ".join(map(quote, self.names))
        into = f"{quote(self.table.name)} ({columns})"
        if connection.dialect.name == "sqlite":
            places = ", ".join("?" * len(self.names))
            # What is between the quotes are names of the schema.
            connection.exec_driver_sql(f"INSERT INTO {into} VALUES ({places})", list(rows))  # noqa: S608
            return
        # Who has no PostgreSQL needs no driver of it.
        from longtail.server.store.postgresql.bulk import copy_in

        copy_in(connection, into, rows)

    def _selected(self, connection: Connection) -> list[ColumnElement[Any]]:
        if connection.dialect.name == "sqlite":
            return list(self.table.columns)
        return [_as_in_sqlite(column).label(column.name) for column in self.table.columns]


def _as_in_sqlite(column: Column[Any]) -> ColumnElement[Any]:
    if isinstance(column.type, Boolean):
        return cast(column, Integer)
    # There a zero has no sign.
    return column + 0.0 if isinstance(column.type, Float) else column
