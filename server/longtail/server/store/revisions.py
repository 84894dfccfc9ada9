"""The one sequence that every committed write moves on."""

from longtail.server.store.schema import sequence
from longtail.server.store.transaction import Transaction
from sqlalchemy import select, update


def take_revisions(tx: Transaction, count: int) -> int:
    """Give out `count` revisions; return the last of them."""
    statement = update(sequence).values(revision=sequence.c.revision + count)
    return int(tx.execute(statement.returning(sequence.c.revision)).scalar_one())


def raise_revision(tx: Transaction, least: int) -> None:
    """Have no revision up to `least` be given out again."""
    tx.execute(update(sequence).where(sequence.c.revision < least).values(revision=least))


def current_revision(tx: Transaction) -> int:
    """Return the last revision given out."""
    return int(tx.execute(select(sequence.c.revision)).scalar_one())
