"""What each API key has in the store: its items, and the events that it recorded today.

Numbers that each write moves on in its own transaction, so that nobody has to count.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from longtail.server.store.clock import now
from longtail.server.store.expressions import greater
from longtail.server.store.schema import usage
from longtail.server.store.transaction import Transaction
from longtail.server.store.upsert import Insert, insert
from sqlalchemy import case, literal, select

DAY = 24 * 3600 * 10**6


@dataclass(frozen=True)
class Usage:
    """How many items in the catalogue a key made, and events it recorded since 00:00 UTC."""

    items: int = 0
    events: int = 0


def usage_of(tx: Transaction, key: str) -> Usage:
    """Return what the key of a name has."""
    columns = usage.c.item_count, usage.c.day, usage.c.event_count
    row = tx.execute(select(*columns).where(usage.c.key == key)).first()
    return Usage() if row is None else _usage(*row)


def move_usage(tx: Transaction, key: str, *, items: int = 0, events: int = 0) -> None:
    """Take in what came by a key, below zero what went; nothing where it has no name."""
    if key and (items or events):
        tx.execute(
            _MOVE, {"key": key, "item_count": items, "day": now() // DAY, "event_count": events}
        )


def read_usage(place: Path | str) -> Mapping[str, Usage]:
    """Return what the keys have, by name, in the store at `place`, which may be in use.

    A path is that of a file, a text the URL of a database. Nothing where there is no store, or one
    of before; raises sqlite3.Error, and Unavailable.
    """
    if isinstance(place, Path):
        rows = _rows(place)
    else:
        # Who has a file needs no driver of a server.
        from longtail.server.store.postgresql.usage import usage_rows

        rows = usage_rows(place)
    return {key: _usage(*row) for key, *row in rows}


def _rows(path: Path) -> Sequence[tuple[Any, ...]]:
    if not path.exists():
        return ()
    uri = f"{path.resolve().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as store:
        if not store.execute("SELECT 1 FROM sqlite_schema WHERE name = 'usage'").fetchone():
            return ()
        return store.execute("SELECT key, item_count, day, event_count FROM usage").fetchall()


def _usage(items: int, day: int, events: int) -> Usage:
    return Usage(items, events if day == now() // DAY else 0)


def _move() -> Insert:
    statement = insert(usage)
    new = statement.excluded
    same_day = usage.c.day == new.day
    moved = {
        # What was made before it was counted may go.
        "item_count": greater(usage.c.item_count + new.item_count, literal(0)),
        "day": new.day,
        "event_count": case((same_day, usage.c.event_count), else_=0) + new.event_count,
    }
    return statement.on_conflict_do_update(index_elements=["key"], set_=moved)


_MOVE = _move()
