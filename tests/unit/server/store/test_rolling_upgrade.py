"""A newer version migrates a store that this one serves, which goes on where it only adds."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from longtail.runtime.errors import FailedPrecondition
from longtail.server.store.group_commit import GroupCommit
from longtail.server.store.migration import MIGRATIONS, alembic_config
from longtail.server.store.record_store import RecordStore
from longtail.server.store.transaction import Transaction

from tests.unit.server.store_records import BINDING, event, new_item

T = TypeVar("T")

# What an expansion is: columns with a value for whoever does not know them, tables, indices.
EXPANSION = """
import sqlalchemy as sa
from alembic import op

revision = "newer"
down_revision = "{newest}"


def upgrade():
    op.add_column("items", sa.Column("shelf", sa.String, nullable=False, server_default=""))
    op.add_column("interactions", sa.Column("device", sa.Integer))
    op.create_table("shelves", sa.Column("id", sa.String, primary_key=True))
    op.create_index("items_by_shelf", "items", ["shelf"])
"""


def expand(store: RecordStore, folder: Path) -> None:
    """Do to a store what a newer version does when it starts."""
    config = alembic_config()
    newest = ScriptDirectory.from_config(config).get_current_head()
    (folder / "newer.py").write_text(EXPANSION.format(newest=newest))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", f"{MIGRATIONS / 'versions'}\n{folder}")
    with store._database.writing.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "newer")


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
    # It cannot be started any more, and says what can.
    with pytest.raises(FailedPrecondition, match="its schema is unknown to this version"):
        RecordStore.open(place)


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
