"""What people did, as whoever holds it in memory reads it: one person, what is new, all opinions.

It is asked for at every answer to somebody new and after every write, and half of such a read would
be SQLAlchemy: so the statements are text and go through the driver. A person goes by a hash, so
that whoever follows keeps no id of anybody who is deleted later.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from longtail.server.store.database import Database
from longtail.server.store.person_hash import PersonHash
from longtail.server.store.records import Activity, Deed, Opinions, PastInteraction, PersonRecord
from longtail.server.store.revisions import current_revision
from longtail.server.store.schema import interactions
from sqlalchemy import Row, select

# Opinions that are read at a time.
CHUNK = 10_000


class ActivityLog:
    """The interactions in the store, by person and by revision. Any thread may read."""

    def __init__(self, database: Database, person_hash: PersonHash) -> None:
        self._database = database
        self._person_hash = person_hash

    def person(self, user_id: str, latest: int) -> PersonRecord:
        """Return the `latest` that a person did, and each item that they met with, by type."""
        with self._database.reading() as read:
            [(revision,)] = read(_REVISION).fetchall()
            rows = read(_LATEST, (user_id, latest)).fetchall()
            more = read(_MET, (user_id,)).fetchall() if len(rows) == latest else ()
        history = tuple(map(PastInteraction._make, rows))
        return PersonRecord(revision, history, more or [past[:2] for past in history])

    def since(self, revision: int) -> Activity:
        """Return what was recorded above a revision, and what was deleted since."""
        with self._database.reading() as read:
            [(now,)] = read(_REVISION).fetchall()
            if now == revision:
                return Activity(now, (), ())
            forgotten = read(_FORGOTTEN, (revision,)).fetchall()
            [(expired,)] = read(_EXPIRED, (revision,)).fetchall()
            rows = read(_SINCE, (revision,)).fetchall()
        deeds = [
            Deed(self._person_hash(user_id), at, PastInteraction._make(past))
            for user_id, at, *past in rows
        ]
        return Activity(now, forgotten, deeds, bool(expired))

    @contextmanager
    def opinions(self) -> Iterator[tuple[int, Iterator[Opinions]]]:
        """Give the revision and all opinions as of it, in parts: in the order of `since`.

        Interactions without a value are left out. While the block lasts SQLite's log is not
        trimmed: read on.
        """
        with self._database.engine.connect() as connection:
            revision = current_revision(connection)
            streamed = connection.execution_options(yield_per=CHUNK).execute(_OPINIONS)
            yield revision, map(_opinions, streamed.partitions())


def _opinions(rows: Sequence[Row[Any, Any, Any]]) -> Opinions:
    return Opinions(*zip(*rows, strict=True))


_REVISION = "SELECT revision FROM sequence"
_LATEST = (
    "SELECT item_id, type, value, time, event_id FROM interactions WHERE user_id = ?"
    " ORDER BY time DESC, event_id LIMIT ?"
)
_MET = "SELECT item_id, type FROM interactions WHERE user_id = ?"
_FORGOTTEN = "SELECT person, revision FROM forgotten WHERE revision > ?"
_EXPIRED = "SELECT revision > ? FROM expiry"
_SINCE = (
    "SELECT user_id, revision, item_id, type, value, time, event_id FROM interactions"
    " WHERE revision > ? ORDER BY revision, time"
)
_OPINIONS = (
    select(interactions.c.user_id, interactions.c.item_id, interactions.c.value)
    .where(interactions.c.value != 0)
    .order_by(interactions.c.revision, interactions.c.time)
)
