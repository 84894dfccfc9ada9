"""What was deleted of persons: notes of whom and what age, and the store written anew without it.

SQLite's secure_delete overwrites what is deleted, but not what lies beside it of before: when pages
are split and joined, copies of rows stay in their slack. Only a file that is written anew has none.
"""

import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from longtail.runtime.errors import Unavailable
from longtail.server.store.failures import told_plainly
from longtail.server.store.person_hash import PersonHash
from longtail.server.store.schema import expiry, forgotten
from longtail.server.store.transaction import Transaction
from sqlalchemy import Engine, func, select, update
from sqlalchemy.dialects.sqlite import Insert, insert

# How long the rewriting waits for others: writers, and readers that need the log.
PATIENCE_SECONDS = 30.0
POLL_SECONDS = 0.05


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
            "before": func.max(expiry.c.before, noted.before),
            "revision": func.max(expiry.c.revision, noted.revision),
            "left": func.max(expiry.c.left, left),
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


def write_anew(path: Path) -> None:
    """Write a database anew, so that it and its log hold nothing but what is in its tables.

    Who writes meanwhile waits; it takes about as long as to copy the file, and as much room again
    in its folder and in that of temporary files. Raises StorageFull, StoreDamaged, and Unavailable
    when others kept it from that: then it is to be tried again.
    """
    with told_plainly(), closing(_connect(path)) as connection:
        connection.execute("VACUUM")
        until = time.monotonic() + PATIENCE_SECONDS
        # Until the log is cut to nothing it has the pages of before.
        while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            if time.monotonic() > until:
                raise Unavailable("readers keep the log of the store from being cut")
            time.sleep(POLL_SECONDS)


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=PATIENCE_SECONDS, isolation_level=None)


def _upsert() -> Insert:
    statement = insert(forgotten)
    new = statement.excluded
    # What is left of the time before is left, whatever is left of this one.
    changed = {
        "revision": func.max(forgotten.c.revision, new.revision),
        "left": func.max(forgotten.c.left, new.left),
    }
    return statement.on_conflict_do_update(index_elements=["person"], set_=changed)


_UPSERT = _upsert()
