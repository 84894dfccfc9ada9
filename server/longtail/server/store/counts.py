"""How much the store holds: numbers that each write moves on, so that nobody has to count."""

from dataclasses import fields

from longtail.server.store.records import Counts
from longtail.server.store.schema import counts
from longtail.server.store.transaction import Transaction
from sqlalchemy import bindparam, select, update

_COUNTED = [counts.c[field.name] for field in fields(Counts)]
_MOVE = update(counts).values(
    {column.name: column + bindparam(f"new_{column.name}") for column in _COUNTED}
)


def read_counts(tx: Transaction) -> Counts:
    """Return how much there is, as the transaction sees it."""
    return Counts(*tx.execute(select(*_COUNTED)).one())


def move_counts(tx: Transaction, *, items: int = 0, interactions: int = 0, users: int = 0) -> None:
    """Take in how many came to the store; below zero, how many went."""
    if items or interactions:
        moved = {"new_items": items, "new_interactions": interactions, "new_users": users}
        tx.execute(_MOVE, moved)
