"""The vector spaces that were declared beside the encoder's, and the vectors of items in them."""

from collections.abc import Collection, Sequence
from itertools import islice

from longtail.runtime.errors import Aborted, FailedPrecondition, NotFound
from longtail.server.store.records import NewItem, Vector, VectorSpace, decode_vector, encode_vector
from longtail.server.store.revisions import current_revision, take_revisions
from longtail.server.store.schema import extra_vectors, vector_spaces
from longtail.server.store.transaction import Transaction
from longtail.server.store.upsert import Insert, insert
from sqlalchemy import Engine, delete, select, update

# Each has a graph of its own in memory, and is searched for every request that knows it.
MAX_SPACES = 8
# Items that are asked for at a time.
CHUNK = 1000


class SpaceDeleted(Aborted):
    """A vector is of a space that is there no more."""


class SpaceRecords:
    """The vector spaces. Writes run in the caller's transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def declare(self, tx: Transaction, name: str, dimension: int) -> tuple[VectorSpace, int]:
        """Declare a space, or return the one that is there; and the revision that holds it.

        Raises FailedPrecondition when it is there with another dimension, and when there are
        MAX_SPACES.
        """
        there = {space.name: space for space in declared_spaces(tx)}
        if found := there.get(name):
            if found.dimension != dimension:
                raise FailedPrecondition(
                    f"the vector space {name!r} is there with {found.dimension} dimensions, "
                    f"not {dimension}; delete it first"
                )
            return found, current_revision(tx)
        if len(there) >= MAX_SPACES:
            names = ", ".join(map(repr, there))
            raise FailedPrecondition(f"there are {MAX_SPACES} vector spaces already: {names}")
        revision = take_revisions(tx, 1)
        row = {"id": revision, "name": name, "dimension": dimension, "deleted": False}
        tx.execute(insert(vector_spaces).values(row))
        return VectorSpace(revision, name, dimension), revision

    def delete(self, tx: Transaction, name: str) -> int:
        """Delete a space; return the revision from which on there is none. Raises NotFound.

        Its vectors are left to `drop_deleted`.
        """
        named = vector_spaces.c.name == name, ~vector_spaces.c.deleted
        if not tx.execute(update(vector_spaces).where(*named).values(deleted=True)).rowcount:
            raise NotFound("vector space", name)
        return take_revisions(tx, 1)

    def any_deleted(self) -> bool:
        """Return whether anything is left of a space that was deleted."""
        query = select(vector_spaces.c.id).where(vector_spaces.c.deleted)
        with self._engine.connect() as connection:
            return connection.execute(query).first() is not None

    def drop_deleted(self, tx: Transaction, limit: int) -> int:
        """Delete vectors of deleted spaces, at most `limit`, then these; return how many."""
        query = select(vector_spaces.c.id).where(vector_spaces.c.deleted)
        dropped = 0
        for space_id in tx.execute(query).scalars().all():
            of_space = extra_vectors.c.space_id == space_id
            first = select(extra_vectors.c.item_id).where(of_space).limit(limit - dropped)
            ids = tx.execute(first).scalars().all()
            tx.execute(delete(extra_vectors).where(of_space, extra_vectors.c.item_id.in_(ids)))
            dropped += len(ids)
            if dropped >= limit:
                break
            tx.execute(delete(vector_spaces).where(vector_spaces.c.id == space_id))
        return dropped


def declared_spaces(tx: Transaction) -> tuple[VectorSpace, ...]:
    """Return the spaces that there are, in the order of their names."""
    return tuple(VectorSpace(row.id, row.name, row.dimension) for row in tx.execute(_DECLARED))


def extra_vectors_of(tx: Transaction, ids: Collection[str]) -> dict[str, dict[VectorSpace, Vector]]:
    """Return the vectors (d,) of items in the spaces that there are, by item and space."""
    if not ids:
        return {}
    spaces = {space.id: space for space in declared_spaces(tx)}
    found: dict[str, dict[VectorSpace, Vector]] = {}
    waiting = iter(ids)
    while spaces and (chunk := list(islice(waiting, CHUNK))):
        query = select(extra_vectors).where(
            extra_vectors.c.space_id.in_(spaces), extra_vectors.c.item_id.in_(chunk)
        )
        for row in tx.execute(query):
            theirs = found.setdefault(row.item_id, {})
            theirs[spaces[row.space_id]] = decode_vector(row.data)
    return found


def replace_extra_vectors(tx: Transaction, new_items: Sequence[NewItem]) -> None:
    """Give items the vectors in spaces that they come with, in place of those that they have.

    Raises SpaceDeleted.
    """
    there = declared_spaces(tx)
    if not {space for item in new_items for space in item.extra_vectors} <= set(there):
        raise SpaceDeleted("a vector space was deleted during the write: send it again")
    rows = [
        {"space_id": space.id, "item_id": item.content.id, "data": encode_vector(vector)}
        for item in new_items
        for space, vector in item.extra_vectors.items()
    ]
    if rows:
        tx.execute(_UPSERT, rows)
    for space in there:
        without = [item.content.id for item in new_items if space not in item.extra_vectors]
        _remove(tx, [space.id], without)


def remove_extra_vectors(tx: Transaction, ids: Collection[str]) -> None:
    """Remove all vectors in spaces of items, also of spaces that were deleted."""
    _remove(tx, tx.execute(select(vector_spaces.c.id)).scalars().all(), ids)


def _remove(tx: Transaction, space_ids: Sequence[int], item_ids: Collection[str]) -> None:
    of_spaces = extra_vectors.c.space_id.in_(space_ids)
    if space_ids and item_ids:
        tx.execute(delete(extra_vectors).where(of_spaces, extra_vectors.c.item_id.in_(item_ids)))


_DECLARED = (
    select(vector_spaces.c.id, vector_spaces.c.name, vector_spaces.c.dimension)
    .where(~vector_spaces.c.deleted)
    .order_by(vector_spaces.c.name)
)


def _upsert() -> Insert:
    statement = insert(extra_vectors)
    return statement.on_conflict_do_update(
        index_elements=["space_id", "item_id"], set_={"data": statement.excluded.data}
    )


_UPSERT = _upsert()
