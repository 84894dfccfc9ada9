"""The store as a whole: its parts, its size, its writer."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

from longtail.runtime.errors import FailedPrecondition, StoreDamaged
from longtail.server.store.activity import ActivityLog
from longtail.server.store.changes import ChangeLog
from longtail.server.store.clock import bring_back
from longtail.server.store.counts import read_counts
from longtail.server.store.database import Database
from longtail.server.store.decayed_counter import EARLIEST
from longtail.server.store.decisions import DecisionRecords
from longtail.server.store.encoders import EncoderRecords
from longtail.server.store.erasures import Erasures, Expiry, Left
from longtail.server.store.group_commit import GroupCommit
from longtail.server.store.impressions import ImpressionRecords
from longtail.server.store.interactions import InteractionRecords
from longtail.server.store.items import ItemRecords
from longtail.server.store.leases import LeaseRecords
from longtail.server.store.operations import OperationRecords
from longtail.server.store.person_hash import PersonHash
from longtail.server.store.records import Counts, Forgotten
from longtail.server.store.requests import RequestRecords
from longtail.server.store.revisions import take_revisions
from longtail.server.store.schema import (
    expiry,
    impressions,
    interactions,
    pseudonyms,
    token_key,
)
from longtail.server.store.spaces import SpaceRecords
from longtail.server.store.sqlite.check import check_database
from longtail.server.store.sqlite.opening import open_database
from longtail.server.store.transaction import Transaction
from sqlalchemy import exists, or_, select, update

__all__ = ["DATABASE", "RecordStore", "check_database"]

DATABASE = "longtail.db"


class RecordStore:
    """Items, their vectors, interactions and popularity, under one sequence of revisions.

    Any number of threads read, and what they read is consistent; writes are given to a GroupCommit.
    Several processes may have the same store open.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._engine = engine = database.engine
        single = database.single
        self.name = database.name
        self.is_shared = database.shared
        self.items = ItemRecords(single)
        self.person_hash = PersonHash(self.token_key)
        self.erasures = Erasures(engine, self.person_hash)
        self.interactions = InteractionRecords(single)
        self.impressions = ImpressionRecords(engine, self.erasures)
        self.changes = ChangeLog(engine, single)
        self.spaces = SpaceRecords(single)
        self.activity = ActivityLog(database, self.person_hash)
        self.requests = RequestRecords(single)
        self.encoders = EncoderRecords(single)
        self.operations = OperationRecords(single)
        self.leases = LeaseRecords(single)
        self.decisions = DecisionRecords(single)

    @classmethod
    def open(cls, place: Path | str) -> "RecordStore":
        """Open the store at `place`, made or brought to the newest schema.

        A path is that of a file, of SQLite; a text the URL of a database of PostgreSQL. Raises
        FailedPrecondition, StoreDamaged, StorageFull, and Unavailable when it cannot be reached or
        others keep it locked.
        """
        if isinstance(place, Path):
            return cls(open_database(place))
        # Who has a file needs no driver of a server.
        from longtail.server.store.postgresql.opening import open_shared_database

        return cls(open_shared_database(place))

    def close(self) -> None:
        """Give the connections back."""
        self._database.close()

    @property
    def path(self) -> Path:
        """The file that it is in. Raises FailedPrecondition where it is in none."""
        if self._database.file is None:
            raise FailedPrecondition(f"{self.name} is no file")
        return self._database.file

    def size(self) -> int:
        """Return the bytes that the store takes, about."""
        return self._database.size()

    def maintains(self) -> bool:
        """Return whether this process is the one that maintains the store: see `Database`."""
        return self._database.maintains()

    async def written(self) -> AsyncIterator[int]:
        """Yield the revision after each write, whoever wrote; nothing where nobody tells.

        Raises Unavailable when nothing is heard any more.
        """
        if self._database.written is not None:
            async for revision in self._database.written():
                yield revision

    def group_commit(self, committed: Callable[[], None], max_waiting: int) -> GroupCommit:
        """Return the thread that writes, to be entered as a context.

        `committed` runs in it after each commit, before the writers know of it.
        """
        return GroupCommit(self._database, committed, max_waiting)

    def backup(self, target: Path, progress: Callable[[int, int], None]) -> None:
        """Copy the store, as of one revision, into the one file `target`, SQLite: `Database`."""
        self._database.back_up(target, progress)

    def forget(self, tx: Transaction, user_id: str) -> Forgotten:
        """Remove all that is of a person, and note that they were deleted.

        Also of somebody who is not there: copies may have them, and lists may be on their way.
        """
        done, _ = self.interactions.delete_user(tx, user_id)
        shown, _ = self.impressions.delete_user(tx, user_id)
        revision = take_revisions(tx, 1)
        self.erasures.note(tx, user_id, revision, Left.STORE if done or shown else Left.COPIES)
        return Forgotten(done, shown, revision)

    def expire(self, tx: Transaction, before: int, limit: int) -> int:
        """Delete interactions from before a time, up to `limit`, and note it; return how many.

        Fewer than `limit` are the last: then whoever follows, and copies, are to have none either.
        """
        count = self.interactions.expire(tx, before, limit)
        done = before if count < limit else EARLIEST
        left = Left.STORE if count else Left.COPIES
        bring_back(tx, expiry.c.before)
        self.erasures.note_expiry(tx, Expiry(done, take_revisions(tx, 1)), left)
        return count

    def write_anew(self) -> None:
        """Have its files hold nothing that was deleted, as far as its kind goes: see `Database`."""
        self._database.write_anew()

    def token_key(self) -> bytes:
        """Return the secret that this store, what was copied from it and nothing else has.

        Raises StoreDamaged when it is lost.
        """
        with self._engine.connect() as connection:
            key = connection.execute(select(token_key.c.key)).scalar()
        if not key:
            raise StoreDamaged(f"{self.name} has lost the key of its recommendation tokens")
        return bytes(key)

    def pseudonym_mark(self, tx: Transaction) -> bytes:
        """Return the mark of the pseudonyms that persons go by; empty where they have none."""
        return bytes(tx.execute(select(pseudonyms.c.mark)).scalar_one())

    def go_by_pseudonyms(self, tx: Transaction, mark: bytes) -> None:
        """Have persons, of whom there are none yet, go by the pseudonyms that have a mark."""
        tx.execute(update(pseudonyms).values(mark=mark))

    def has_persons(self, tx: Transaction) -> bool:
        """Return whether anything is recorded of anybody."""
        recorded = exists().select_from(interactions), exists().select_from(impressions)
        return bool(tx.execute(select(or_(*recorded))).scalar())

    def persons(self) -> list[str]:
        """Return the ids of all persons that anything is recorded of."""
        both = select(interactions.c.user_id).union(select(impressions.c.user_id))
        with self._engine.connect() as connection:
            return list(connection.execute(both).scalars())

    def counts(self) -> Counts:
        """Return how many items, interactions and persons there are; nothing is counted for it."""
        with self._engine.connect() as connection:
            return read_counts(connection)
