"""Brings a database to the newest schema: the same migrations, whatever its kind.

A newer version may have migrated it. Where that only expanded it (its `schema_floor` is a schema
that this version knows) it is served as it is, so that an upgrade can be taken back.
"""

import logging
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from longtail.server.store.schema import metadata, schema_floor
from sqlalchemy import Connection, inspect, select

logger = logging.getLogger(__name__)

MIGRATIONS = Path(__file__).parent / "migrations"
VERSIONS = "alembic_version"


def alembic_config() -> Config:
    """Return where the migrations are."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


def known_schemas() -> list[str]:
    """Return the schemas that there have been, the newest first."""
    return [
        each.revision for each in ScriptDirectory.from_config(alembic_config()).walk_revisions()
    ]


def migrate(connection: Connection, *, expanded: bool) -> None:
    """Bring the database to the newest schema, within the transaction of the connection.

    One that a newer version only expanded stays as it is, if `expanded` ones are wanted. Raises
    CommandError of Alembic where a newer version wrote it otherwise.
    """
    if expanded and _is_expanded(connection):
        logger.warning("a newer version has expanded the store: it is served as it is")
        return
    config = alembic_config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _is_expanded(connection: Connection) -> bool:
    known = known_schemas()
    if MigrationContext.configure(connection).get_current_revision() in (None, *known):
        return False
    if not inspect(connection).has_table(schema_floor.name):
        return False
    return connection.execute(select(schema_floor.c.oldest)).scalar() in known


def is_store(connection: Connection) -> bool:
    """Return whether the database ever was a store."""
    return inspect(connection).has_table(VERSIONS)


def lost_tables(connection: Connection) -> set[str]:
    """Return which tables of the newest schema are not there."""
    return metadata.tables.keys() - set(inspect(connection).get_table_names())
