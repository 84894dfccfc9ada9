"""A newer version migrates a store that this one serves, which goes on where it only adds."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
from alembic import command
from longtail.runtime.errors import FailedPrecondition
from longtail.server.store.group_commit import GroupCommit
from longtail.server.store.migration import MIGRATIONS, alembic_config
from longtail.server.store.record_store import RecordStore
from longtail.server.store.schema import schema_floor
from longtail.server.store.transaction import Transaction
from sqlalchemy import update

from tests.expansion import SCHEMA, write_migration
from tests.unit.server.store_records import BINDING, event, new_item

T = TypeVar("T")


def expand(store: RecordStore, folder: Path) -> None:
    """Do to a store what a newer version does when it starts."""
    config = alembic_config()
    write_migration(folder)
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", f"{MIGRATIONS / 'versions'}\n{folder}")
    with store._database.writing.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, SCHEMA)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_version_that_runs_goes_on_when_a_newer_one_expands_the_schema(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    place: Path | str = tmp_path / "longtail.db"
    if kind == "postgresql":
        place = request.getfixturevalue("postgresql_url")
    store, newer = RecordStore.open(place), RecordStore.open(place)
    with store.group_commit(lambda: None, 9) as writer:
        # Often enough for what a driver prepares after some times.
        use(store, writer, "before")
        expand(newer, tmp_path)
        use(store, writer, "after")
        assert {change.id for change in store.changes.current()} == {"kept before", "kept after"}
    for each in (store, newer):
        each.close()
    # An upgrade can be taken back.
    store = RecordStore.open(place)
    with store.group_commit(lambda: None, 9) as writer:
        use(store, writer, "once more")
        writer.submit(raise_floor).result(timeout=60)
    store.close()
    # When the newer one has taken anything away it cannot, and is told what can serve the store.
    with pytest.raises(FailedPrecondition, match="its schema is unknown to this version"):
        RecordStore.open(place)


def raise_floor(tx: Transaction) -> None:
    tx.execute(update(schema_floor).values(oldest=SCHEMA))


def use(store: RecordStore, writer: GroupCommit, when: str) -> None:
    """Write, overwrite, read and delete; the next does the same with the same statements."""

    def do(write: Callable[[Transaction], T]) -> T:
        return writer.submit(write).result(timeout=60)

    encoder = do(lambda tx: store.encoders.bind(tx, BINDING)).id
    for title in "abcdefg":
        kept = new_item(f"kept {when}", title)
        do(partial(store.items.upsert, new_items=[kept, new_item("gone")], encoder_id=encoder))
        assert store.items.get([kept.content.id])[kept.content.id].content.title == title
        do(lambda tx: store.items.remove(tx, ["gone"]))
        seen = event(title, kept.content.id, "ann")
        assert do(partial(store.interactions.write, events=[seen]))[0] == 1
        page = store.interactions.list_page(user_id="ann", item_id="", after=None, limit=9)
        assert [each.event_id for each in page] == [title]
        assert do(lambda tx: store.forget(tx, "ann")).interactions == 1
