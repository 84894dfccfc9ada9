"""What people think of items, in the order in which it was recorded: likes, dislikes, and silence.

A person goes by a hash, so that whoever follows keeps no id of anybody who is deleted later.
"""

import hashlib
from collections.abc import Iterator
from heapq import merge
from operator import attrgetter

from longtail.server.store.records import Opinion
from longtail.server.store.schema import forgotten, interactions
from sqlalchemy import Engine, bindparam, select

HASH_BYTES = 16
# Rows that are read at a time.
CHUNK = 1000


class OpinionLog:
    """The opinions in the store, in the order of their revisions."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def changes(self, after: int, until: int) -> Iterator[Opinion]:
        """Yield what was recorded in the revisions after .. until, and who was forgotten in them.

        Those of one revision are in the order of their times. Interactions without a value are left
        out. It is one consistent read, and while it lasts SQLite's log is not trimmed: read on.
        """
        span = {"after": after, "until": until}
        with self._engine.connect() as connection:
            gone = [
                Opinion(person, None, 0.0, revision)
                for person, revision in connection.execute(_FORGOTTEN, span)
            ]
            rows = connection.execution_options(yield_per=CHUNK).execute(_OPINIONS, span)
            held = (
                Opinion(person_hash(user_id), item_id, value, revision)
                for user_id, item_id, value, revision in rows
            )
            yield from merge(gone, held, key=attrgetter("revision")) if gone else held


def person_hash(user_id: str) -> bytes:
    """Return what a person goes by here."""
    return hashlib.blake2b(user_id.encode(), digest_size=HASH_BYTES).digest()


# Made once: making them takes as long as reading a few changes.
_FORGOTTEN = (
    select(forgotten.c.person, forgotten.c.revision)
    .where(forgotten.c.revision > bindparam("after"), forgotten.c.revision <= bindparam("until"))
    .order_by(forgotten.c.revision)
)
_OPINIONS = (
    select(
        interactions.c.user_id,
        interactions.c.item_id,
        interactions.c.value,
        interactions.c.revision,
    )
    .where(
        interactions.c.revision > bindparam("after"),
        interactions.c.revision <= bindparam("until"),
        interactions.c.value != 0,
    )
    .order_by(interactions.c.revision, interactions.c.time)
)
