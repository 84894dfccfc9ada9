"""Move a store: copy it while it is served, hold its writers off once, and have the copy served.

Of the two at most one is ever in service. The copy is sealed until it is finished, and the source
from the moment on that nothing more can be written to it; who is ended between the two steps finds
both sealed, and finishes by the same command. The copy has the identity of the store: what was
built or given out for it, indices and tokens, is good for the copy.
"""

import time
from contextlib import nullcontext

from longtail.runtime.errors import FailedPrecondition
from longtail.server.store.database import Database
from longtail.server.store.moving.copying import (
    Progress,
    Reading,
    TableCopy,
    copy_table,
    hasten,
    row_counts,
    tables,
)
from longtail.server.store.schema import sequence
from longtail.server.store.seal import Seal, State, put_seal, read_seal, remove_seal
from sqlalchemy import Connection, func, select


class Move:
    """A store, `source`, that is to become `target`: empty, or what such a move left before."""

    def __init__(self, source: Database, target: Database, most: int) -> None:
        self._source, self._target, self._most = source, target, most

    def begin(self) -> None:
        """Seal the target as a copy of the source.

        Raises FailedPrecondition where it must not become one, as where the two are exchanged.
        """
        if self._source.name == self._target.name:
            raise FailedPrecondition(f"{self._source.name} is both of them")
        with self._source.engine.connect() as connection:
            moved, identity = read_seal(connection), _identity(connection)
        with self._target.writing.begin() as connection:
            seal = read_seal(connection)
            if moved is not None and (moved.state == State.COPYING or not _is_copying(seal)):
                raise FailedPrecondition(f"{self._source.name}: {moved}")
            if seal is None and connection.execute(select(sequence.c.revision)).scalar():
                raise FailedPrecondition(
                    f"{self._target.name} holds a store that is in service: name an empty one"
                )
            if seal is not None and seal.identity != identity:
                raise FailedPrecondition(
                    f"{self._target.name} is of another store: {seal}; name an empty one"
                )
            put_seal(connection, Seal(State.COPYING, identity, self._source.name))

    def counts(self) -> dict[str, int]:
        """Return how many rows each table of the source has now."""
        return row_counts(self._source.engine.connect)

    def copy(self, progress: Progress) -> list[TableCopy]:
        """Go through all tables once, while the source may be written to.

        Raises CopyDiffers, and what either database raises; the next pass goes on from there.
        """
        copied = self._pass(self._source.engine.connect, progress)
        if self._target.shared:
            # Else it plans for tables that are empty, until it looks at them by itself.
            with self._target.writing.begin() as connection:
                connection.exec_driver_sql("ANALYZE")
        return copied

    def switch(self, progress: Progress, most_seconds: float) -> list[TableCopy]:
        """Hold off the source's writers, go through all tables, and have the target be the store.

        Raises FailedPrecondition where it takes over `most_seconds`: then writers go on as before.
        """
        with self._source.writing.begin() as connection:
            until = time.monotonic() + most_seconds

            def bounded(done: TableCopy) -> None:
                if time.monotonic() > until:
                    raise FailedPrecondition(
                        f"writers were held off for {most_seconds:.0f} s, and the copy was not "
                        "through: allow for more, or stop the servers; the source is in service"
                    )
                progress(done)

            copied = self._pass(lambda: nullcontext(connection), bounded)
            identity = _identity(connection)
            # From here on the target is whole, also after a loss of power.
            with self._target.writing.begin() as target:
                _go_on_counting(target)
                put_seal(target, Seal(State.COPYING, identity, self._source.name))
            put_seal(connection, Seal(State.MOVED, identity, self._target.name))
        with self._target.writing.begin() as target:
            remove_seal(target)
        return copied

    def _pass(self, reading: Reading, progress: Progress) -> list[TableCopy]:
        with self._target.writing.connect() as copy:
            hasten(copy)
            try:
                return [
                    copy_table(table, reading, copy, self._most, progress) for table in tables()
                ]
            finally:
                # It is not to be used for what must be durable.
                copy.invalidate()


def _is_copying(seal: Seal | None) -> bool:
    return seal is not None and seal.state == State.COPYING


def _identity(connection: Connection) -> str:
    return str(connection.execute(select(sequence.c.identity)).scalar_one())


def _go_on_counting(target: Connection) -> None:
    """Have numbers that PostgreSQL gives to rows itself begin after those that are there."""
    if target.dialect.name == "sqlite":
        return
    for table in tables():
        column = table.autoincrement_column
        if column is None:
            continue
        counter = func.pg_get_serial_sequence(table.name, column.name)
        last = select(func.coalesce(func.max(column), 0)).scalar_subquery()
        target.execute(select(func.setval(counter, last + 1, False)))
