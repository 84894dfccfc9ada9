"""Deletions carried through: the store written anew, and every copy of it without those deleted.

A copy is older than a deletion, or has its note: it is brought to the revision of the store when it
is written anew, and a restore never goes back behind a revision that was given out.
"""

import logging
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path

from longtail.runtime.errors import FailedPrecondition, NotFound, StorageFull, StoreDamaged
from longtail.server.operations.snapshots import DamagedSnapshot, Snapshots
from longtail.server.store.database import COMPANIONS
from longtail.server.store.erasures import Left, write_anew
from longtail.server.store.group_commit import GroupCommit
from longtail.server.store.person_hash import PersonHash
from longtail.server.store.record_store import DATABASE, RecordStore
from longtail.server.store.revisions import raise_revision
from longtail.server.store.transaction import Transaction

logger = logging.getLogger(__name__)

# Stores that a restore put aside, and what one that broke off leaves.
ASIDE, COMING = f"{DATABASE}.before-restore-", f"{DATABASE}.restoring"

Notes = Mapping[bytes, tuple[int, Left]]
Count = Callable[[int, int], None]


class Erasure:
    """Erases whoever was deleted from all files beside `store`. For one thread at a time."""

    def __init__(self, store: RecordStore, commit: GroupCommit, snapshots: Snapshots) -> None:
        self._store = store
        self._commit = commit
        self._snapshots = snapshots

    def run(self, count: Count) -> None:
        """Erase whoever was deleted until now; `count` gets (done, total) in files.

        Raises StorageFull and Unavailable, after which it is to be run again, and
        FailedPrecondition, once all others are erased, with the copies that cannot be read.
        """
        erasures = self._store.erasures
        until, left = self._store.changes.position().revision, erasures.left()
        folder = self._store.path.parent
        for path in folder.glob(f"{COMING}*"):
            path.unlink(missing_ok=True)
        copies = _asides(folder)
        done, total = 0, 1 + len(copies) + len(self._snapshots.ids())
        count(done, total)
        if left == Left.STORE:
            self._store.write_anew()
            self._settle(until, Left.COPIES)
        notes = erasures.all()
        unreadable: list[str] = []
        steps: list[tuple[str, Callable[[], None]]] = [
            (path.name, partial(self._erase_aside, notes, path)) for path in copies
        ]
        for snapshot_id in self._snapshots.ids():
            step = partial(self._erase_snapshot, notes, snapshot_id)
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

    def _erase_aside(self, notes: Notes, path: Path) -> None:
        if not path.exists():
            raise StoreDamaged(f"{path} is a log without its store")
        if erase_from(path, notes, self._store.person_hash):
            logger.info("persons erased copy=%s", path.name)

    def _erase_snapshot(self, notes: Notes, snapshot_id: str) -> None:
        person_hash = self._store.person_hash
        try:
            path = self._snapshots.path(snapshot_id) / DATABASE
            if _is_concerned(path, notes, person_hash):
                erase = partial(erase_from, notes=notes, person_hash=person_hash)
                self._snapshots.rewrite(snapshot_id, erase)
        except NotFound:
            # It was deleted meanwhile.
            return


def erase_from(path: Path, notes: Notes, person_hash: PersonHash) -> bool:
    """Erase those deleted from a copy that is older than that; return whether it was changed.

    `person_hash` is that of `notes`. Raises StoreDamaged and StorageFull.
    """
    copy = RecordStore.open(path)
    try:
        revision = copy.changes.position().revision
        later = {person: note for person, note in notes.items() if note[0] > revision}
        persons = copy.persons() if later else []
        found = [user_id for user_id in persons if person_hash(user_id) in later]
        if not found and copy.erasures.left() == Left.NOWHERE:
            return False
        with copy.group_commit(lambda: None, max_waiting=1) as commit:
            commit.submit(partial(_forget, copy, found, later)).result()
    finally:
        copy.close()
    write_anew(path)
    return True


def _forget(copy: RecordStore, found: list[str], later: Notes, tx: Transaction) -> None:
    for user_id in found:
        copy.forget(tx, user_id)
    carry_notes(copy, later, tx)
    copy.erasures.settle(tx, until=2**63 - 1, left=Left.NOWHERE)


def carry_notes(copy: RecordStore, notes: Notes, tx: Transaction) -> None:
    """Have a copy know who was deleted, as its own deletions of now."""
    copy.erasures.carry(tx, notes)
    raise_revision(tx, max((revision for revision, _ in notes.values()), default=0))


def _is_concerned(path: Path, notes: Notes, person_hash: PersonHash) -> bool:
    """Return whether a copy that is no longer written to may have anybody who was deleted."""
    uri = f"{path.resolve().as_uri()}?immutable=1"
    with closing(sqlite3.connect(uri, uri=True)) as copy:
        try:
            [(revision, left)] = copy.execute(_STANDING)
            persons = copy.execute(_PERSONS).fetchall()
        except sqlite3.OperationalError:
            # Its schema is an earlier one: written anew it has that of now.
            return True
    later = {person for person, (at, _) in notes.items() if at > revision}
    return bool(left) or any(person_hash(user_id) in later for (user_id,) in persons)


_STANDING = 'SELECT revision, (SELECT max("left") FROM forgotten) FROM sequence'
_PERSONS = "SELECT user_id FROM interactions UNION SELECT user_id FROM impressions"


def _asides(folder: Path) -> list[Path]:
    found = {path.name for path in folder.glob(f"{ASIDE}*")}
    log, index = COMPANIONS
    stores = {name.removesuffix(log).removesuffix(index) for name in found}
    return [folder / name for name in sorted(stores)]
