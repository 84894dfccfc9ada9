"""What people did, as whoever holds it in memory reads it: one person, what is new, all opinions.

It is asked for at every answer to somebody new and after every write, and half of such a read would
be SQLAlchemy: so the statements are text and go through the driver. A person goes by a hash, so
that whoever follows keeps no id of anybody who is deleted later.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from longtail.server.store.person_hash import PersonHash
from longtail.server.store.records import Activity, Deed, Opinions, PastInteraction, PersonRecord
from sqlalchemy import Engine

# Opinions that are read at a time.
CHUNK = 10_000


class ActivityLog:
    """The interactions in the store, by person and by revision. Any thread may read."""

    def __init__(self, engine: Engine, person_hash: PersonHash) -> None:
        self._engine = engine
        self._person_hash = person_hash

    def person(self, user_id: str, latest: int) -> PersonRecord:
        """Return the `latest` that a person did, and each item that they met with, by type."""
        with self._reading() as read:
            [(revision,)] = read.execute(_REVISION)
            rows = read.execute(_LATEST, (user_id, latest)).fetchall()
            more = read.execute(_MET, (user_id,)).fetchall() if len(rows) == latest else ()
        history = tuple(map(PastInteraction._make, rows))
        return PersonRecord(revision, history, more or [past[:2] for past in history])

    def since(self, revision: int) -> Activity:
        """Return what was recorded above a revision, and what was deleted since."""
        with self._reading() as read:
            [(now,)] = read.execute(_REVISION)
            if now == revision:
                return Activity(now, (), ())
            forgotten = read.execute(_FORGOTTEN, (revision,)).fetchall()
            [(expired,)] = read.execute(_EXPIRED, (revision,))
            rows = read.execute(_SINCE, (revision,)).fetchall()
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
        with self._reading() as read:
            [(revision,)] = read.execute(_REVISION)
            yield revision, _parts(read.execute(_OPINIONS))

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Cursor]:
        """Have what is read in the block be as of one revision."""
        connection = self._engine.raw_connection()
        try:
            cursor: sqlite3.Cursor = connection.cursor()  # type: ignore[assignment]
            cursor.execute("BEGIN")
            yield cursor
        finally:
            connection.close()


def _parts(read: sqlite3.Cursor) -> Iterator[Opinions]:
    while rows := read.fetchmany(CHUNK):
        user_ids, item_ids, values = zip(*rows, strict=True)
        yield Opinions(user_ids, item_ids, values)


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
    "SELECT user_id, item_id, value FROM interactions WHERE value <> 0 ORDER BY revision, time"
)
