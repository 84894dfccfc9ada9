"""The encoders of the catalogue: the one whose vectors are served, and the one that follows it."""

from collections.abc import Sequence
from typing import Any

from longtail.runtime.errors import Unavailable
from longtail.server.store.records import (
    BoundEncoder,
    EncoderBinding,
    PendingText,
    Vector,
    encode_vector,
)
from longtail.server.store.revisions import take_revisions
from longtail.server.store.schema import Role, encoders, items, vectors
from longtail.server.store.transaction import Transaction
from longtail.server.store.upsert import Insert, insert
from sqlalchemy import (
    ColumnElement,
    Engine,
    Select,
    and_,
    delete,
    exists,
    func,
    or_,
    select,
    update,
)


class EncoderChanged(Unavailable):
    """Vectors came from an encoder that is not the catalogue's, or is so no more."""


class EncoderIncomplete(ValueError):
    """Items have no vector of the encoder yet."""


class EncoderRecords:
    """The encoders and how far the next one has come. Writes run in the caller's transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def current(self) -> BoundEncoder | None:
        """Return the encoder of the catalogue's vectors; None before the first."""
        with self._engine.connect() as connection:
            return _in_role(connection, Role.CURRENT)

    def next(self) -> BoundEncoder | None:
        """Return the encoder whose vectors are being made; None when no change is under way."""
        with self._engine.connect() as connection:
            return _in_role(connection, Role.NEXT)

    def bind(self, tx: Transaction, binding: EncoderBinding) -> BoundEncoder:
        """Give a catalogue its first encoder; the one that it has, if another was faster."""
        return _in_role(tx, Role.CURRENT) or _add(tx, binding, Role.CURRENT)

    def prepare(self, tx: Transaction, binding: EncoderBinding) -> BoundEncoder:
        """Begin the change to an encoder, or go on with it; the change to any other is given up."""
        begun = _in_role(tx, Role.NEXT)
        if begun is not None and begun.binding == binding:
            return begun
        _retire(tx, Role.NEXT)
        return _add(tx, binding, Role.NEXT)

    def pending(
        self, encoder_id: int, limit: int, after: int = 0, last: int | None = None
    ) -> list[PendingText]:
        """Return items that an encoder has no vector of yet, in the order of revisions.

        Those of the revisions from `after`, exclusive, to `last`. An item that changes gets a
        higher revision, so who goes on after the last that was returned passes over none, and
        reads the catalogue once.
        """
        query = (
            select(items.c.id, items.c.revision, items.c.title, items.c.text, items.c.vector_given)
            .where(_lacks_vector(encoder_id), items.c.revision > after)
            .order_by(items.c.revision)
            .limit(limit)
        )
        if last is not None:
            query = query.where(items.c.revision <= last)
        with self._engine.connect() as connection:
            return [PendingText(*row) for row in connection.execute(query)]

    def pending_revisions(self, encoder_id: int, limit: int, after: int) -> list[tuple[int, bool]]:
        """Return what `pending` does, without the texts: (revision, whether a vector was given)."""
        query = (
            select(items.c.revision, items.c.vector_given)
            .where(_lacks_vector(encoder_id), items.c.revision > after)
            .order_by(items.c.revision)
            .limit(limit)
        )
        with self._engine.connect() as connection:
            return [(row.revision, row.vector_given) for row in connection.execute(query)]

    def pending_count(self, encoder_id: int, after: int = 0) -> int:
        """Count the items that an encoder has no vector of yet. Reads the catalogue."""
        query = select(func.count()).select_from(items)
        with self._engine.connect() as connection:
            return _number(
                connection, query.where(_lacks_vector(encoder_id), items.c.revision > after)
            )

    def put_vectors(
        self, tx: Transaction, encoder_id: int, rows: Sequence[tuple[str, int, Vector]]
    ) -> int:
        """Keep what an encoder made of items' versions: (id, revision, vector (d,)).

        Returns how many were kept: versions that were replaced meanwhile are passed over, and items
        that have come to have vectors of their own.
        """
        query = select(items.c.id, items.c.revision).where(
            items.c.id.in_([item_id for item_id, _, _ in rows]),
            ~items.c.removed,
            ~items.c.vector_given,
        )
        current = {(row.id, row.revision) for row in tx.execute(query)}
        kept = [
            {"encoder_id": encoder_id, "item_id": item_id, "data": encode_vector(vector)}
            for item_id, revision, vector in rows
            if (item_id, revision) in current
        ]
        if kept:
            tx.execute(UPSERT_VECTOR, kept)
        return len(kept)

    def given_vectors(self, limit: int) -> list[str]:
        """Return ids of items that came with vectors of their own. Reads the catalogue."""
        query = select(items.c.id).where(items.c.vector_given, ~items.c.removed).limit(limit)
        with self._engine.connect() as connection:
            return list(connection.execute(query).scalars())

    def switch(self, tx: Transaction, encoder_id: int, after: int) -> int:
        """Make the next encoder the catalogue's; return the revision from which on it is.

        Of the items up to the revision `after` the caller knows that there are vectors of it, or
        can be none. Raises EncoderIncomplete while others have none, and ValueError when it is not
        the next.
        """
        coming = _in_role(tx, Role.NEXT)
        if coming is None or coming.id != encoder_id:
            raise ValueError(f"encoder {encoder_id} is not the next one")
        query = select(func.count()).select_from(items)
        if lacking := _number(tx, query.where(_lacks_vector(encoder_id), items.c.revision > after)):
            raise EncoderIncomplete(f"{lacking} items have no vector of encoder {encoder_id}")
        _retire(tx, Role.CURRENT)
        tx.execute(update(encoders).where(encoders.c.id == encoder_id).values(role=Role.CURRENT))
        return take_revisions(tx, 1)

    def retired(self, limit: int) -> int:
        """Count the vectors of retired encoders that are still there; `limit` is the most."""
        query = select(vectors.c.item_id).where(_of_retired()).limit(limit)
        with self._engine.connect() as connection:
            return _number(connection, select(func.count()).select_from(query.subquery()))

    def drop_retired(self, tx: Transaction, limit: int) -> int:
        """Delete vectors of retired encoders, at most `limit`; return how many."""
        query = select(vectors.c.encoder_id, vectors.c.item_id).where(_of_retired()).limit(limit)
        by_encoder: dict[int, list[str]] = {}
        for row in tx.execute(query):
            by_encoder.setdefault(row.encoder_id, []).append(row.item_id)
        for encoder_id, ids in by_encoder.items():
            theirs = vectors.c.encoder_id == encoder_id, vectors.c.item_id.in_(ids)
            tx.execute(delete(vectors).where(*theirs))
        return sum(map(len, by_encoder.values()))


def require_current(tx: Transaction, encoder_id: int) -> list[int]:
    """Return the other encoders that vectors are left of. Raises EncoderChanged."""
    left = exists().where(vectors.c.encoder_id == encoders.c.id)
    query = select(encoders.c.id, encoders.c.role, left.label("left"))
    others = []
    is_current = False
    for row in tx.execute(query):
        if row.id == encoder_id:
            is_current = row.role == Role.CURRENT
        elif row.left:
            others.append(row.id)
    if not is_current:
        raise EncoderChanged("the catalogue's encoder was changed during the write: send it again")
    return others


def _upsert_vector() -> Insert:
    statement = insert(vectors)
    return statement.on_conflict_do_update(
        index_elements=["encoder_id", "item_id"], set_={"data": statement.excluded.data}
    )


UPSERT_VECTOR = _upsert_vector()


def _in_role(tx: Transaction, role: Role) -> BoundEncoder | None:
    row = tx.execute(select(encoders).where(encoders.c.role == role)).first()
    if row is None:
        return None
    return BoundEncoder(row.id, EncoderBinding(row.model_id, row.dimension))


def _add(tx: Transaction, binding: EncoderBinding, role: Role) -> BoundEncoder:
    statement = insert(encoders).values(
        model_id=binding.model_id, dimension=binding.dimension, role=role
    )
    return BoundEncoder(tx.execute(statement.returning(encoders.c.id)).scalar_one(), binding)


def _retire(tx: Transaction, role: Role) -> None:
    tx.execute(update(encoders).where(encoders.c.role == role).values(role=Role.RETIRED))


def _lacks_vector(encoder_id: int) -> ColumnElement[bool]:
    has = exists().where(vectors.c.encoder_id == encoder_id, vectors.c.item_id == items.c.id)
    # Without a text, and without a vector of its own, an item is found by those in other spaces.
    can_have = or_(items.c.title != "", items.c.text != "", items.c.vector_given)
    return and_(~items.c.removed, can_have, ~has)


def _of_retired() -> ColumnElement[bool]:
    retired = select(encoders.c.id).where(encoders.c.role == Role.RETIRED)
    return vectors.c.encoder_id.in_(retired)


def _number(tx: Transaction, query: Select[Any]) -> int:
    return int(tx.execute(query).scalar_one())
