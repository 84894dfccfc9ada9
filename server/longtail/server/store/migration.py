"""Brings a database to the newest schema: the same migrations, whatever its kind."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from longtail.server.store.schema import metadata
from sqlalchemy import Connection, inspect

MIGRATIONS = Path(__file__).parent / "migrations"
VERSIONS = "alembic_version"


def alembic_config() -> Config:
    """Return where the migrations are."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


def migrate(connection: Connection) -> None:
    """Bring the database to the newest schema, within the transaction of the connection.

    Raises CommandError of Alembic where a newer version wrote it.
    """
    config = alembic_config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def is_store(connection: Connection) -> bool:
    """Return whether the database ever was a store."""
    return inspect(connection).has_table(VERSIONS)


def lost_tables(connection: Connection) -> set[str]:
    """Return which tables of the newest schema are not there."""
    return metadata.tables.keys() - set(inspect(connection).get_table_names())
