"""What was deleted of persons: notes of whom and what age, and where it may lie still."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from longtail.server.store.expressions import greater
from longtail.server.store.person_hash import PersonHash
from longtail.server.store.schema import expiry, forgotten
from longtail.server.store.transaction import Transaction
from longtail.server.store.upsert import Insert, insert
from sqlalchemy import Engine, func, literal, select, update


class Left(IntEnum):
    """Where data of a person who was deleted may lie still."""

    NOWHERE = 0
    COPIES = 1
    STORE = 2


@dataclass(frozen=True)
class Expiry:
    """What was done before a time, microseconds, was deleted by its age, last at a revision."""

    before: int
    revision: int


class Erasures:
    """The notes of who was deleted, and of what age. Writes run in the caller's transaction."""

    def __init__(self, engine: Engine, person_hash: PersonHash) -> None:
        self._engine = engine
        self._person_hash = person_hash

    def note(self, tx: Transaction, user_id: str, revision: int, left: Left) -> None:
        """Note that a person was deleted at a revision, and where their data may lie still."""
        row = {"person": self._person_hash(user_id), "revision": revision, "left": left}
        tx.execute(_UPSERT, row)

    def carry(self, tx: Transaction, notes: Mapping[bytes, tuple[int, Left]]) -> None:
        """Note who was deleted in another copy: by person, the revision and what is left."""
        rows = [
            {"person": person, "revision": revision, "left": left}
            for person, (revision, left) in notes.items()
        ]
        if rows:
            tx.execute(_UPSERT, rows)

    def revision_of(self, tx: Transaction, user_id: str) -> int:
        """Return the revision at which a person was deleted last; 0 when they never were."""
        theirs = forgotten.c.person == self._person_hash(user_id)
        return tx.execute(select(forgotten.c.revision).where(theirs)).scalar() or 0

    def all(self) -> dict[bytes, tuple[int, Left]]:
        """Return everybody who was deleted: by person, the revision and what is left."""
        query = select(forgotten.c.person, forgotten.c.revision, forgotten.c.left)
        with self._engine.connect() as connection:
            return {person: (at, Left(left)) for person, at, left in connection.execute(query)}

    def expiry(self) -> Expiry:
        """Return what was deleted by its age."""
        with self._engine.connect() as connection:
            return Expiry(*connection.execute(select(expiry.c.before, expiry.c.revision)).one())

    def note_expiry(self, tx: Transaction, noted: Expiry, left: Left) -> None:
        """Note what was deleted by its age, and where it may lie still."""
        changed = {
            "before": greater(expiry.c.before, literal(noted.before)),
            "revision": greater(expiry.c.revision, literal(noted.revision)),
            "left": greater(expiry.c.left, literal(left)),
        }
        tx.execute(update(expiry).values(changed))

    def left(self) -> Left:
        """Return where anything that was deleted may lie still."""
        with self._engine.connect() as connection:
            persons = connection.execute(select(func.max(forgotten.c.left))).scalar() or 0
            return Left(max(persons, connection.execute(select(expiry.c.left)).scalar_one()))

    def settle(self, tx: Transaction, until: int, left: Left) -> None:
        """Say that of what was deleted until a revision no more than `left` is left."""
        for table in (forgotten, expiry):
            settled = table.c.revision <= until, table.c.left > left
            tx.execute(update(table).where(*settled).values(left=left))


def _upsert() -> Insert:
    statement = insert(forgotten)
    new = statement.excluded
    # What is left of the time before is left, whatever is left of this one.
    changed = {
        "revision": greater(forgotten.c.revision, new.revision),
        "left": greater(forgotten.c.left, new.left),
    }
    return statement.on_conflict_do_update(index_elements=["person"], set_=changed)


_UPSERT = _upsert()
