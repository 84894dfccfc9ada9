"""How often each item was met with, by type: counts and decayed sums of interactions."""

import math

from longtail.server.store.decayed_counter import EARLIEST, DecayedCounter, Times
from longtail.server.store.expressions import greater
from longtail.server.store.records import PopularityDecay
from longtail.server.store.schema import interactions, popularity, popularity_decay
from longtail.server.store.transaction import Transaction
from sqlalchemy import BigInteger, bindparam, func, select, update

# What is dated ahead of the clock counts as of the moment at which it was recorded.
COUNTED_TIME = func.coalesce(interactions.c.counted_time, interactions.c.time)

# Its keys are an item and a type.
POPULARITY = DecayedCounter(
    popularity,
    popularity.c.interactions,
    popularity_decay,
    (interactions.c.item_id, interactions.c.type, COUNTED_TIME),
)

_DECAY = select(popularity_decay.c.half_life, popularity_decay.c.newest)
_MOVE_NEWEST = update(popularity_decay).values(
    newest=greater(popularity_decay.c.newest, bindparam("time", type_=BigInteger))
)
_FIND_NEWEST = update(popularity_decay).values(
    newest=select(func.coalesce(func.max(popularity.c.time), EARLIEST))
    .where(popularity.c.interactions > 0)
    .scalar_subquery()
)


def decay_of(tx: Transaction) -> PopularityDecay:
    """Return how popularity decays, and from when on."""
    row = tx.execute(_DECAY).one()
    return PopularityDecay(row.half_life or math.inf, row.newest)


def add_interactions(tx: Transaction, times: Times) -> int:
    """Count interactions, the times of them by item and type, at least one; return the revision."""
    tx.execute(_MOVE_NEWEST, {"time": max(map(max, times.values()))})
    return POPULARITY.add(tx, times)


def take_back_interactions(tx: Transaction, times: Times) -> int:
    """Take back interactions that were counted and are no more; return the revision."""
    revision = POPULARITY.take_back(tx, times)
    if max(map(max, times.values())) >= decay_of(tx).newest:
        tx.execute(_FIND_NEWEST)
    return revision
