"""A store goes by the ids of persons or by pseudonyms of one key, from its first person on."""

from pathlib import Path

from longtail.runtime.settings import SettingsError
from longtail.server.operations.erasure import copies_aside
from longtail.server.operations.snapshots import Snapshots
from longtail.server.process.pseudonyms import Pseudonyms
from longtail.server.store.record_store import RecordStore
from longtail.server.store.transaction import Transaction

VARIABLE = "LONGTAIL_PSEUDONYM_KEY"


def keep_names(
    store: RecordStore, folder: Path, snapshots: Snapshots, pseudonyms: Pseudonyms
) -> None:
    """Have the store go by `pseudonyms`.

    Raises SettingsError when it has persons, or copies in `folder` or `snapshots`, that go by
    something else.
    """

    def keep(tx: Transaction) -> None:
        known = store.pseudonym_mark(tx)
        if known == pseudonyms.mark:
            return
        if known and not pseudonyms.mark:
            raise SettingsError(
                f"{VARIABLE}: persons of this store go by pseudonyms: set the file of their key"
            )
        if known:
            raise SettingsError(f"{VARIABLE}: it is not the key that made this store's pseudonyms")
        copies = snapshots.ids() or copies_aside(folder)
        if copies or store.has_persons(tx):
            raise SettingsError(
                f"{VARIABLE}: this store, or a copy of it, has ids of persons: begin with an empty "
                f"one (move {folder} away), and import anew"
            )
        store.go_by_pseudonyms(tx, pseudonyms.mark)

    with store.group_commit(lambda: None, max_waiting=1) as commit:
        commit.submit(keep).result()
