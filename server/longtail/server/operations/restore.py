"""`longtail-restore SNAPSHOT_ID`: put a snapshot in the place of the store.

The server must be stopped. The store that was there is kept beside the new one.
"""

import os
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

from grpc import StatusCode
from longtail.runtime.errors import ServiceError
from longtail.runtime.settings import SettingsError, load
from longtail.server.operations.snapshots import (
    SNAPSHOT_FOLDER,
    DamagedSnapshot,
    Snapshot,
    Snapshots,
)
from longtail.server.process.durable import flush
from longtail.server.process.folder_lock import held
from longtail.server.process.private import keep_private
from longtail.server.settings import Settings
from longtail.server.store.backup import back_up
from longtail.server.store.database import COMPANIONS
from longtail.server.store.record_store import DATABASE, RecordStore
from longtail.server.store.records import OperationState


class RestoreError(Exception):
    """The snapshot cannot be restored; the message says what to do."""


def main() -> int:
    """Restore the snapshot that the command line names; return the exit code."""
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.stdout.write("Usage: longtail-restore SNAPSHOT_ID, with LONGTAIL_HOME set\n")
        return 0 if sys.argv[1:] in (["-h"], ["--help"]) else 2
    try:
        data = load(Settings, os.environ).data
        if not data.is_dir():
            raise RestoreError(f"there is no folder {data}: set LONGTAIL_HOME")
        keep_private(data)
        with held(data):
            snapshot, aside = restore(data, sys.argv[1])
    except DamagedSnapshot as error:
        folder = data / SNAPSHOT_FOLDER / sys.argv[1]
        sys.stderr.write(f"restore: {folder}: {error}; restore another snapshot\n")
        return 1
    except (SettingsError, ServiceError, RestoreError, OSError) as error:
        sys.stderr.write(f"restore: {error}\n")
        return 1
    sys.stdout.write(
        f"restored {snapshot.id}: {snapshot.items} items and {snapshot.interactions} interactions "
        f"at revision {snapshot.revision}\n"
    )
    if aside is not None:
        sys.stdout.write(f"the store that was there is {aside}\n")
    return 0


def restore(data: Path, snapshot_id: str) -> tuple[Snapshot, Path | None]:
    """Verify a snapshot and put it in place; return it, and where the former store is now.

    Raises NotFound, DamagedSnapshot, and OSError; the store is as it was then.
    """
    snapshots = Snapshots(data / SNAPSHOT_FOLDER)
    snapshot = snapshots.verify(snapshot_id, lambda _done, _total: None)
    present, coming = data / DATABASE, data / f"{DATABASE}.restoring"
    try:
        # The copy gets an identity of its own, each time that a snapshot is restored.
        back_up(snapshots.path(snapshot_id) / DATABASE, coming, lambda _done, _total: None)
        _end_operations(coming)
        flush(coming)
        aside = _keep_aside(present)
        # A log that is left beside another database would be taken for its own.
        for suffix in COMPANIONS:
            present.with_name(present.name + suffix).unlink(missing_ok=True)
        flush(data)
        coming.replace(present)
        flush(data)
    except BaseException:
        coming.unlink(missing_ok=True)
        raise
    return snapshot, aside


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
