"""The one sequence that every committed write moves on."""

from sqlalchemy import Connection, select, update

from server.store.schema import sequence


def take_revisions(connection: Connection, count: int) -> int:
    """Give out `count` revisions; return the last of them."""
    statement = update(sequence).values(revision=sequence.c.revision + count)
    return int(connection.execute(statement.returning(sequence.c.revision)).scalar_one())


def current_revision(connection: Connection) -> int:
    """Return the last revision given out."""
    return int(connection.execute(select(sequence.c.revision)).scalar_one())
