"""`longtail-restore SNAPSHOT_ID`: put a snapshot in the place of the store.

The server must be stopped. The store that was there is kept beside the new one. Whoever was deleted
since the snapshot was made is not brought back by it, nor what was deleted by its age.
"""

import argparse
import os
import sqlite3
import sys
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from grpc import StatusCode
from longtail.runtime.command_line import add_file, find_with_flags
from longtail.runtime.errors import ServiceError
from longtail.runtime.settings import SettingsError, read
from longtail.server.operations.erasure import NOTHING_EXPIRED, Deleted, delete_from
from longtail.server.operations.snapshots import (
    DamagedSnapshot,
    Snapshot,
    Snapshots,
)
from longtail.server.process.at_rest import forget
from longtail.server.process.durable import flush
from longtail.server.process.folder_lock import held
from longtail.server.process.private import keep_private
from longtail.server.settings import Settings
from longtail.server.store.erasures import Expiry, Left
from longtail.server.store.moving.ends import opened
from longtail.server.store.person_hash import PersonHash
from longtail.server.store.record_store import DATABASE, RecordStore
from longtail.server.store.records import OperationState
from longtail.server.store.revisions import raise_revision
from longtail.server.store.sqlite.backup import back_up
from longtail.server.store.sqlite.opening import BUSY_SECONDS, COMPANIONS


@dataclass(frozen=True)
class Restored:
    """A snapshot that was put in place, and where the former store is now.

    `knows_forgotten`: whether that told who was deleted since the snapshot was made.
    """

    snapshot: Snapshot
    aside: Path | None
    knows_forgotten: bool


@dataclass(frozen=True)
class _Latest:
    """What the store that is replaced knows: its last revision, and what was deleted."""

    revision: int
    deleted: Deleted


class RestoreError(Exception):
    """The snapshot cannot be restored; the message says what to do."""


def main() -> int:
    """Restore the snapshot that the command line names; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="longtail-restore",
        description="Put a snapshot in the place of the store in LONGTAIL_HOME; the server must be "
        "stopped. The store that was there is kept.",
    )
    add_file(parser)
    parser.add_argument("snapshot", metavar="SNAPSHOT_ID")
    options = parser.parse_args()
    try:
        settings = read(Settings, find_with_flags(options))
        data, snapshots = settings.data, settings.snapshot_folder
        if not data.is_dir():
            raise RestoreError(f"there is no folder {data}: set LONGTAIL_HOME")
        keep_private(data)
        with held(data):
            restored = restore(data, snapshots, options.snapshot, settings.store)
    except DamagedSnapshot as error:
        sys.stderr.write(
            f"restore: {snapshots / options.snapshot}: {error}; restore another snapshot\n"
        )
        return 1
    except (SettingsError, ServiceError, RestoreError, OSError) as error:
        sys.stderr.write(f"restore: {error}\n")
        return 1
    snapshot = restored.snapshot
    sys.stdout.write(
        f"restored {snapshot.id}: {snapshot.items} items and {snapshot.interactions} interactions "
        f"at revision {snapshot.revision}\n"
    )
    if restored.aside is not None:
        sys.stdout.write(f"the store that was there is {restored.aside}\n")
    if settings.store:
        sys.stdout.write(
            f"it is {data / DATABASE}: bring it to an empty database with longtail-migrate, or "
            "start a server without LONGTAIL_STORE\n"
        )
    if not restored.knows_forgotten:
        sys.stdout.write(
            "that store is lost or cannot be read: delete anew whoever was deleted shortly before\n"
        )
    return 0


def restore(data: Path, folder: Path, snapshot_id: str, shared: str = "") -> Restored:
    """Verify a snapshot in `folder` and put it in place.

    The store that it replaces is the one in `data`, or at the URL `shared`, where it stays. Raises
    NotFound, DamagedSnapshot, and OSError; the store is as it was then.
    """
    snapshots = Snapshots(folder)
    snapshots.remove_unfinished()
    snapshot = snapshots.verify(snapshot_id, lambda _done, _total: None)
    present, coming = data / DATABASE, data / f"{DATABASE}.restoring"
    try:
        # The copy gets an identity of its own, each time that a snapshot is restored.
        back_up(snapshots.path(snapshot_id) / DATABASE, coming, lambda _done, _total: None)
        latest = _read_shared(shared) if shared else _read_latest(present)
        _keep_deleted(coming, latest, snapshots)
        _end_operations(coming)
        flush(coming)
        aside = _keep_aside(present)
        # A checksum or a log that is left beside another database would be taken for its own.
        forget(present)
        for suffix in COMPANIONS:
            present.with_name(present.name + suffix).unlink(missing_ok=True)
        flush(data)
        coming.replace(present)
        flush(data)
    except BaseException:
        coming.unlink(missing_ok=True)
        raise
    return Restored(snapshot, aside, knows_forgotten=latest is not None)


def _read_latest(present: Path) -> _Latest | None:
    """Return what the present store knows, as it is; None when it is lost or cannot be read."""
    if not present.exists():
        return None
    try:
        # Read-only, so that nothing of what may be damaged is moved from its log.
        uri = f"{present.resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS)) as store:
            [(revision, key)] = store.execute("SELECT revision, key FROM sequence, token_key")
            notes = store.execute('SELECT person, revision, "left" FROM forgotten')
            forgotten = {person: (at, Left(left)) for person, at, left in notes}
            deleted = Deleted(PersonHash(lambda: key), forgotten, _read_expiry(store))
    except (sqlite3.Error, ValueError):
        return None
    return _Latest(revision, deleted)


def _read_shared(url: str) -> _Latest | None:
    """Return what the store at a URL knows; None when it is lost or cannot be reached."""
    try:
        with opened(url, make=False) as database:
            store = RecordStore(database)
            key = store.token_key()
            forgotten, expired = store.erasures.all(), store.erasures.expiry()
            deleted = Deleted(PersonHash(lambda: key), forgotten, expired)
            return _Latest(store.changes.position().revision, deleted)
    except ServiceError:
        return None


def _read_expiry(store: sqlite3.Connection) -> Expiry:
    # An earlier version deleted nothing by its age.
    if not store.execute("SELECT 1 FROM sqlite_schema WHERE name = 'expiry'").fetchone():
        return NOTHING_EXPIRED
    return Expiry(*store.execute("SELECT before, revision FROM expiry").fetchone())


def _keep_deleted(coming: Path, latest: _Latest | None, snapshots: Snapshots) -> None:
    """Have what was deleted since stay so, and no revision given out a second time."""
    revision = max(each.revision for each in snapshots.all())
    with closing(RecordStore.open(coming)) as store:
        gone = False
        if latest is not None:
            revision = max(revision, latest.revision)
            gone = delete_from(store, latest.deleted)
        with store.group_commit(lambda: None, max_waiting=1) as commit:
            commit.submit(partial(raise_revision, least=revision)).result()
            if gone:
                store.write_anew()
                settle = partial(store.erasures.settle, until=2**63 - 1, left=Left.COPIES)
                commit.submit(settle).result()


def _end_operations(path: Path) -> None:
    """End what was under way when the snapshot was made: that it was made itself, for one."""
    store = RecordStore.open(path)
    try:
        with store.group_commit(lambda: None, max_waiting=1) as commit:
            for operation in store.operations.unfinished():
                ended = replace(
                    operation,
                    state=OperationState.FAILED,
                    error_code=StatusCode.ABORTED.value[0],
                    error_message="the store was restored from a snapshot",
                )
                commit.submit(partial(store.operations.update, operation=ended)).result()
    finally:
        store.close()


def _keep_aside(present: Path) -> Path | None:
    """Link the present store, with its log, under a name of its own; return that.

    One of the two may be all that is left.
    """
    log = _log(present)
    if not present.exists() and not log.exists():
        return None
    number = 1
    while (aside := present.with_name(f"{present.name}.before-restore-{number}")).exists() or _log(
        aside
    ).exists():
        number += 1
    # The log first: a database without it would be taken for the whole.
    for path, kept in ((log, _log(aside)), (present, aside)):
        if path.exists():
            os.link(path, kept)
    return aside


def _log(database: Path) -> Path:
    return database.with_name(f"{database.name}-wal")


if __name__ == "__main__":
    sys.exit(main())
