"""What people did, and how often each item was met with."""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any

from longtail.server.store.clock import now
from longtail.server.store.counts import move_counts
from longtail.server.store.decayed_counter import Key
from longtail.server.store.expressions import elements_of, pairs_of
from longtail.server.store.popularity import (
    COUNTED_TIME,
    POPULARITY,
    add_interactions,
    take_back_interactions,
)
from longtail.server.store.records import Interaction
from longtail.server.store.revisions import current_revision
from longtail.server.store.schema import interactions
from longtail.server.store.transaction import Transaction
from longtail.server.store.upsert import insert
from sqlalchemy import (
    ColumnElement,
    Engine,
    Select,
    String,
    and_,
    bindparam,
    delete,
    exists,
    func,
    or_,
    select,
    tuple_,
    update,
)

# Rows that are read at a time.
CHUNK = 5000


class InteractionRecords:
    """Interactions, and the popularity they add up to. Writes run in the caller's transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def write(self, tx: Transaction, events: Sequence[Interaction]) -> tuple[int, int]:
        """Record interactions; return how many were new, and the revision that holds them.

        An event_id of a person that is recorded already, or comes twice, is recorded once, as it
        came first. Another person may have the same.
        """
        keys = json.dumps([_key(event) for event in events])
        known = {tuple(row) for row in tx.execute(_KNOWN, {"keys": keys})}
        new: dict[tuple[str, str], Interaction] = {}
        for event in events:
            if _key(event) not in known:
                new.setdefault(_key(event), event)
        if not new:
            return 0, current_revision(tx)
        users = {event.user_id for event in new.values()}
        known_users = tx.execute(_KNOWN_USERS, {"users": json.dumps(list(users))}).scalar_one()
        move_counts(tx, interactions=len(new), users=len(users) - known_users)
        moment = now()
        times: defaultdict[Key, list[int]] = defaultdict(list)
        for event in new.values():
            times[event.item_id, event.type].append(min(event.time, moment))
        revision = add_interactions(tx, times)
        rows = [{**vars(event), "revision": revision} for event in new.values()]
        tx.execute(_INSERT_INTERACTION, rows)
        ahead = [key for key, event in new.items() if event.time > moment]
        if ahead:
            theirs = _KEYS.in_(ahead)
            tx.execute(update(interactions).where(theirs).values(counted_time=moment))
        return len(new), revision

    def delete_user(self, tx: Transaction, user_id: str) -> tuple[int, int]:
        """Remove what a person did; return how many interactions, and the revision."""
        theirs = interactions.c.user_id == user_id
        query = select(interactions.c.item_id, interactions.c.type, COUNTED_TIME).where(theirs)
        times: defaultdict[Key, list[int]] = defaultdict(list)
        for item_id, kind, time in tx.execute(query):
            times[item_id, kind].append(time)
        if not times:
            return 0, current_revision(tx)
        tx.execute(delete(interactions).where(theirs))
        revision = take_back_interactions(tx, times)
        count = sum(map(len, times.values()))
        move_counts(tx, interactions=-count, users=-1)
        return count, revision

    def expire(self, tx: Transaction, before: int, limit: int) -> int:
        """Delete up to `limit` interactions from before a time; return how many.

        They stay counted in popularity. What was dated ahead of the clock is of when it was
        recorded.
        """
        rows = tx.execute(select(*_KEY).where(_older(before)).limit(limit)).all()
        if rows:
            tx.execute(delete(interactions).where(_KEYS.in_([tuple(row) for row in rows])))
            users = {user_id for user_id, _ in rows}
            left = tx.execute(_KNOWN_USERS, {"users": json.dumps(list(users))}).scalar_one()
            move_counts(tx, interactions=-len(rows), users=left - len(users))
        return len(rows)

    def has_before(self, time: int) -> bool:
        """Return whether there is anything that `expire` would delete."""
        query = select(exists().select_from(interactions).where(_older(time)))
        with self._engine.connect() as connection:
            return bool(connection.execute(query).scalar())

    def set_half_life(self, tx: Transaction, half_life: float) -> bool:
        """Have popularity decay by another half-life: see DecayedCounter."""
        return POPULARITY.set_half_life(tx, half_life)

    def list_page(
        self, *, user_id: str, item_id: str, after: tuple[int, str, str] | None, limit: int
    ) -> list[Interaction]:
        """Return interactions of a person, with an item, or both; an empty id stands for any.

        The latest first, those of one moment by event_id and person; at most `limit` of those that
        come `after` the time, event_id and person of another.
        """
        query = select(*_RECORDED)
        if user_id:
            query = query.where(interactions.c.user_id == user_id)
        if item_id:
            query = query.where(interactions.c.item_id == item_id)
        if after is not None:
            time, *key = after
            # The first condition, implied by the second, is the one that an index helps with.
            query = query.where(
                interactions.c.time <= time,
                or_(
                    interactions.c.time < time,
                    and_(interactions.c.time == time, tuple_(*key) < _ORDER),
                ),
            )
        order = interactions.c.time.desc(), interactions.c.event_id, interactions.c.user_id
        query = query.order_by(*order).limit(limit)
        with self._engine.connect() as connection:
            return [Interaction(**row._mapping) for row in connection.execute(query)]

    def all(self) -> Iterator[Interaction]:
        """Yield all interactions, person by person, those of each in the order of time.

        They are read in parts, so that a slow reader does not keep SQLite's log from being trimmed:
        what is written meanwhile may or may not be among them, and comes once if it is.
        """
        # The order of an index, which leads straight to each part.
        at = (interactions.c.user_id, interactions.c.time, interactions.c.event_id)
        query = select(*_RECORDED).order_by(*at).limit(CHUNK)
        part = query
        while True:
            with self._engine.connect() as connection:
                read = [Interaction(**row._mapping) for row in connection.execute(part)]
            yield from read
            if len(read) < CHUNK:
                return
            part = query.where(tuple_(*at) > (read[-1].user_id, read[-1].time, read[-1].event_id))


def _key(event: Interaction) -> tuple[str, str]:
    return event.user_id, event.event_id


def _older(time: int) -> ColumnElement[bool]:
    # COUNTED_TIME < time, so that an index helps.
    dated = and_(interactions.c.counted_time.is_(None), interactions.c.time < time)
    return or_(dated, interactions.c.counted_time < time)


def _known() -> Select[Any]:
    # Each is looked up: what PostgreSQL makes of a join while there is little stays its plan.
    keys = pairs_of(bindparam("keys", type_=String)).table_valued("first", "second")
    same = and_(interactions.c.user_id == keys.c.first, interactions.c.event_id == keys.c.second)
    recorded = select(interactions.c.revision).where(same).scalar_subquery()
    return select(keys.c.first, keys.c.second).where(recorded.is_not(None))


def _known_users() -> Select[int]:
    users = elements_of(bindparam("users", type_=String)).table_valued("value")
    theirs = interactions.c.user_id == users.c.value
    last = select(func.max(interactions.c.time)).where(theirs).scalar_subquery()
    return select(func.count()).select_from(users).where(last.is_not(None))


_KEY = interactions.c.user_id, interactions.c.event_id
_KEYS = tuple_(*_KEY)
# Of what was done at one moment.
_ORDER = tuple_(interactions.c.event_id, interactions.c.user_id)
_INSERT_INTERACTION = insert(interactions)
_KNOWN, _KNOWN_USERS = _known(), _known_users()
_RECORDED = [interactions.c[field.name] for field in fields(Interaction)]
