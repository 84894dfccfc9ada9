"""What a view reads to follow the store: the rows that changed above the revision it holds."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, Engine, Row, Select, select

from server.store.records import ItemChange, PopularityChange, decode_vector
from server.store.revisions import current_revision
from server.store.schema import items, popularity, sequence, vectors

# Rows that are read at a time.
CHUNK = 1000


class ChangeLog:
    """The changes of the catalogue in the order of their revisions."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def identity(self) -> str:
        """Return what tells this store's revisions from those of any other."""
        with self._engine.connect() as connection:
            return str(connection.execute(select(sequence.c.identity)).scalar_one())

    def revision(self) -> int:
        """Return the last revision given out."""
        with self._engine.connect() as connection:
            return current_revision(connection)

    def versions(self) -> dict[int, str]:
        """Return the current version of every item: its id by its revision."""
        query = select(items.c.revision, items.c.id).where(~items.c.removed)
        with self._engine.connect() as connection:
            return {row.revision: row.id for row in connection.execute(query)}

    def item_changes(self, *, after: int, until: int) -> Iterator[ItemChange]:
        """Yield the items whose current version lies in the revisions after .. until, in order."""
        query = (
            select(items.c.id, items.c.revision, items.c.prior, vectors.c.data)
            .outerjoin(vectors, vectors.c.item_id == items.c.id)
            .where(items.c.revision <= until)
            .order_by(items.c.revision)
        )
        for row in self._chunks(query, items.c.revision, after):
            vector = None if row.data is None else decode_vector(row.data)
            yield ItemChange(row.id, row.revision, vector, row.prior)

    def popularity_changes(self, *, after: int, until: int) -> Iterator[PopularityChange]:
        """Yield the items whose interactions were last counted in the revisions after .. until."""
        query = (
            select(popularity)
            .where(popularity.c.revision > after, popularity.c.revision <= until)
            .order_by(popularity.c.revision)
        )
        with self._engine.connect() as connection:
            for row in connection.execute(query):
                yield PopularityChange(row.item_id, row.revision, row.interactions)

    def _chunks(
        self,
        query: Select[Any],
        key: ColumnElement[int],
        after: int,
    ) -> Iterator[Row[Any]]:
        # A reader that stays open keeps SQLite from trimming its log: each chunk has its own.
        while True:
            with self._engine.connect() as connection:
                rows = connection.execute(query.where(key > after).limit(CHUNK)).all()
            yield from rows
            if len(rows) < CHUNK:
                return
            after = rows[-1].revision
