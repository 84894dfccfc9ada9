"""A version of ours that is newer by a migration, which adds and takes nothing away."""

import shutil
from pathlib import Path

from alembic.script import ScriptDirectory
from longtail.server.store.migration import alembic_config

from tests.processes import ROOT

SCHEMA = "newer"

# What an expansion is: columns with a value for whoever does not know them, tables, indices.
MIGRATION = """
import sqlalchemy as sa
from alembic import op

revision = "{schema}"
down_revision = "{newest}"


def upgrade():
    op.add_column("items", sa.Column("shelf", sa.String, nullable=False, server_default=""))
    op.add_column("interactions", sa.Column("device", sa.Integer))
    op.create_table("shelves", sa.Column("id", sa.String, primary_key=True))
    op.create_index("items_by_shelf", "items", ["shelf"])
"""


def write_migration(folder: Path) -> None:
    """Write the migration from the newest schema into `folder`."""
    newest = ScriptDirectory.from_config(alembic_config()).get_current_head()
    (folder / "newer.py").write_text(MIGRATION.format(schema=SCHEMA, newest=newest))


def write_version(folder: Path) -> None:
    """Write a server with that migration under `folder`, which goes first in PYTHONPATH."""
    package = folder / "longtail" / "server"
    shutil.copytree(ROOT / "server" / "longtail" / "server", package)
    write_migration(package / "store" / "migrations" / "versions")
