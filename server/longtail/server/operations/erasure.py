"""Deletions carried through: the store written anew, and every copy of it without those deleted.

A copy is older than a deletion, or has its note: it is brought to the revision of the store when it
is written anew, and a restore never goes back behind a revision that was given out.
"""

import logging
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from longtail.runtime.errors import FailedPrecondition, NotFound, StorageFull, StoreDamaged
from longtail.server.operations.snapshots import DamagedSnapshot, Snapshots
from longtail.server.store.decayed_counter import EARLIEST
from longtail.server.store.erasures import Expiry, Left
from longtail.server.store.group_commit import GroupCommit
from longtail.server.store.person_hash import PersonHash
from longtail.server.store.record_store import DATABASE, RecordStore
from longtail.server.store.revisions import raise_revision
from longtail.server.store.sqlite.opening import COMPANIONS
from longtail.server.store.transaction import Transaction

logger = logging.getLogger(__name__)

# Stores that a restore put aside, and what one that broke off leaves.
ASIDE, COMING = f"{DATABASE}.before-restore-", f"{DATABASE}.restoring"

Notes = Mapping[bytes, tuple[int, Left]]
NOTHING_EXPIRED = Expiry(EARLIEST, 0)
# What of a copy is deleted by its age in one transaction.
EXPIRED_AT_ONCE = 10_000
Count = Callable[[int, int], None]


@dataclass(frozen=True)
class Deleted:
    """What a store knows to be deleted: persons, by its hash of them, and what is of some age."""

    person_hash: PersonHash
    persons: Notes
    expiry: Expiry

    @property
    def revision(self) -> int:
        """The revision of the last deletion."""
        revisions = [revision for revision, _ in self.persons.values()]
        return max([self.expiry.revision, *revisions])

    def after(self, revision: int) -> "Deleted":
        """Return what was deleted after a revision."""
        persons = {person: note for person, note in self.persons.items() if note[0] > revision}
        expiry = self.expiry if self.expiry.revision > revision else NOTHING_EXPIRED
        return replace(self, persons=persons, expiry=expiry)

    def among(self, user_ids: Iterable[str]) -> list[str]:
        """Return which of `user_ids` are deleted persons."""
        return [user_id for user_id in user_ids if self.person_hash(user_id) in self.persons]


class Erasure:
    """Erases what was deleted from all files beside `store`, in `folder`.

    For one thread at a time.
    """

    def __init__(
        self, store: RecordStore, commit: GroupCommit, folder: Path, snapshots: Snapshots
    ) -> None:
        self._folder = folder
        self._store = store
        self._commit = commit
        self._snapshots = snapshots

    def run(self, count: Count) -> None:
        """Erase whoever and whatever was deleted until now; `count` gets (done, total) in files.

        Raises StorageFull and Unavailable, after which it is to be run again, and
        FailedPrecondition, once all others are erased, with the copies that cannot be read.
        """
        erasures = self._store.erasures
        until, left = self._store.changes.position().revision, erasures.left()
        folder = self._folder
        for path in folder.glob(f"{COMING}*"):
            path.unlink(missing_ok=True)
        copies = copies_aside(folder)
        done, total = 0, 1 + len(copies) + len(self._snapshots.ids())
        count(done, total)
        if left == Left.STORE:
            self._store.write_anew()
            self._settle(until, Left.COPIES)
        # What is left elsewhere is no part of what is left in a copy.
        persons = {person: (at, Left.NOWHERE) for person, (at, _) in erasures.all().items()}
        deleted = Deleted(self._store.person_hash, persons, erasures.expiry())
        unreadable: list[str] = []
        steps: list[tuple[str, Callable[[], None]]] = [
            (path.name, partial(self._erase_aside, deleted, path)) for path in copies
        ]
        for snapshot_id in self._snapshots.ids():
            step = partial(self._erase_snapshot, deleted, snapshot_id)
            steps.append((f"snapshot {snapshot_id}", step))
        for name, erase in steps:
            done += 1
            count(done, total)
            try:
                erase()
            except StorageFull:
                raise
            except (DamagedSnapshot, StoreDamaged, OSError, sqlite3.Error) as error:
                logger.error("copy not erased copy=%s error=%s", name, error)
                unreadable.append(name)
        if unreadable:
            raise FailedPrecondition(
                f"these copies cannot be read, and may have persons who were deleted: "
                f"{', '.join(unreadable)}; delete them"
            )
        self._settle(until, Left.NOWHERE)
        count(total, total)

    def _settle(self, until: int, left: Left) -> None:
        settle = partial(self._store.erasures.settle, until=until, left=left)
        self._commit.submit(settle).result()

    def _erase_aside(self, deleted: Deleted, path: Path) -> None:
        if not path.exists():
            raise StoreDamaged(f"{path} is a log without its store")
        if erase_from(path, deleted):
            logger.info("erased copy=%s", path.name)

    def _erase_snapshot(self, deleted: Deleted, snapshot_id: str) -> None:
        try:
            path = self._snapshots.path(snapshot_id) / DATABASE
            if _is_concerned(path, deleted):
                self._snapshots.rewrite(snapshot_id, partial(erase_from, deleted=deleted))
        except NotFound:
            # It was deleted meanwhile.
            return


def erase_from(path: Path, deleted: Deleted) -> bool:
    """Erase what was deleted from a copy that is older than that; return whether it had any.

    Raises StoreDamaged and StorageFull.
    """
    with closing(RecordStore.open(path)) as copy:
        delete_from(copy, deleted)
        if copy.erasures.left() == Left.NOWHERE:
            return False
        copy.write_anew()
        with copy.group_commit(lambda: None, max_waiting=1) as commit:
            settle = partial(copy.erasures.settle, until=2**63 - 1, left=Left.NOWHERE)
            commit.submit(settle).result()
    return True


def delete_from(copy: RecordStore, deleted: Deleted) -> bool:
    """Delete from a copy what was deleted since it was made; return whether it had any of it.

    It knows of that then, as of deletions of its own of now.
    """
    later = deleted.after(copy.changes.position().revision)
    found = later.among(copy.persons()) if later.persons else []
    before = later.expiry.before
    old = copy.interactions.has_before(before)

    def delete(tx: Transaction) -> None:
        for user_id in found:
            copy.forget(tx, user_id)
        copy.erasures.carry(tx, deleted.persons)
        copy.erasures.note_expiry(tx, deleted.expiry, Left.NOWHERE)
        raise_revision(tx, deleted.revision)

    with copy.group_commit(lambda: None, max_waiting=1) as commit:
        commit.submit(delete).result()
        expire = partial(copy.expire, before=before, limit=EXPIRED_AT_ONCE)
        while old and commit.submit(expire).result() == EXPIRED_AT_ONCE:
            pass
    return bool(found) or old


def _is_concerned(path: Path, deleted: Deleted) -> bool:
    """Return whether a copy that is no longer written to may have anything that was deleted."""
    uri = f"{path.resolve().as_uri()}?immutable=1"
    with closing(sqlite3.connect(uri, uri=True)) as copy:
        try:
            [(revision, left)] = copy.execute(_STANDING)
            later = deleted.after(revision)
            [(old,)] = copy.execute(_OLD, (later.expiry.before,))
            persons = copy.execute(_PERSONS).fetchall() if later.persons else []
        except sqlite3.OperationalError:
            # Its schema is an earlier one: written anew it has that of now.
            return True
    return bool(left or old or later.among(user_id for (user_id,) in persons))


_STANDING = (
    'SELECT revision, (SELECT max("left") FROM (SELECT "left" FROM forgotten'
    ' UNION ALL SELECT "left" FROM expiry)) FROM sequence'
)
_OLD = (
    "SELECT EXISTS (SELECT 1 FROM interactions WHERE counted_time IS NULL AND time < ?1"
    " OR counted_time < ?1)"
)
_PERSONS = "SELECT user_id FROM interactions UNION SELECT user_id FROM impressions"


def copies_aside(folder: Path) -> list[Path]:
    """Return the stores in the folder of one that restores put aside."""
    found = {path.name for path in folder.glob(f"{ASIDE}*")}
    log, index = COMPANIONS
    stores = {name.removesuffix(log).removesuffix(index) for name in found}
    return [folder / name for name in sorted(stores)]
