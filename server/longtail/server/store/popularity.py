"""How often each item was met with, by type: counts and decayed sums of interactions."""

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import groupby, islice
from typing import Any

from longtail.server.store.decay import DecayedSum
from longtail.server.store.records import PopularityDecay
from longtail.server.store.revisions import take_revisions
from longtail.server.store.schema import interactions, popularity, popularity_decay
from longtail.server.store.transaction import Transaction
from sqlalchemy import ColumnElement, bindparam, func, select, update
from sqlalchemy.dialects.sqlite import Insert, insert
from sqlalchemy.sql.base import ReadOnlyColumnCollection

# Rows written, and parameters in one query, at a time.
CHUNK = 1000
# The first moment that a message can tell.
EARLIEST = -62_135_596_800_000_000

# An item and a type of interactions.
Key = tuple[str, str]
Times = Mapping[Key, Sequence[int]]
Counted = tuple[int, DecayedSum]
# The columns of a row of popularity.
Row = ReadOnlyColumnCollection[str, Any]

NOTHING: Counted = 0, DecayedSum(0.0, EARLIEST)

_DECAY = select(popularity_decay.c.half_life, popularity_decay.c.newest)
_MOVE_NEWEST = (
    update(popularity_decay)
    .values(newest=func.max(popularity_decay.c.newest, bindparam("time")))
    .returning(popularity_decay.c.half_life)
)

# What is dated ahead of the clock counts as of the moment at which it was recorded.
COUNTED_TIME = func.coalesce(interactions.c.counted_time, interactions.c.time)


def decay_of(tx: Transaction) -> PopularityDecay:
    """Return how popularity decays, and from when on."""
    row = tx.execute(_DECAY).one()
    return PopularityDecay(row.half_life or math.inf, row.newest)


def add_interactions(tx: Transaction, times: Times) -> int:
    """Count interactions, the times of them by item and type, at least one; return the revision."""
    newest = {"time": max(map(max, times.values()))}
    half_life = tx.execute(_MOVE_NEWEST, newest).scalar_one() or math.inf
    added = {
        key: (len(moments), DecayedSum.of(moments, half_life)) for key, moments in times.items()
    }
    return _write(tx, added, _add(half_life))


def take_back_interactions(tx: Transaction, times: Times) -> int:
    """Take back interactions that were counted and are no more; return the revision.

    A sum that loses its newest part is added up anew from what is left: that may be so little
    beside what goes that their difference would be rounding alone.
    """
    decay = decay_of(tx)
    held = _read(tx, times)
    anew = {key for key, moments in times.items() if max(moments) >= held[key][1].time}
    changed = dict.fromkeys(anew, NOTHING) | _left(tx, anew, decay.half_life)
    for key in times.keys() - anew:
        count, total = held[key]
        removed = DecayedSum.of(times[key], decay.half_life)
        changed[key] = count - len(times[key]), total.minus(removed, decay.half_life)
    revision = _write(tx, changed, _REPLACE)
    if any(held[key][1].time >= decay.newest for key in anew):
        _find_newest(tx)
    return revision


def set_half_life(tx: Transaction, half_life: float) -> bool:
    """Have popularity decay by `half_life`, microseconds or inf; return whether that is a change.

    A change reads all interactions: the sums cannot be had from each other.
    """
    if half_life == decay_of(tx).half_life:
        return False
    stored = 0.0 if math.isinf(half_life) else half_life
    tx.execute(update(popularity_decay).values(half_life=stored))
    rows = tx.execute(
        select(interactions.c.item_id, interactions.c.type, COUNTED_TIME)
        .order_by(interactions.c.item_id)
        .execution_options(yield_per=CHUNK)
    )
    sums = _add_up(rows, half_life)
    while chunk := dict(islice(sums, CHUNK)):
        _write(tx, chunk, _REPLACE)
    return True


def _read(tx: Transaction, keys: Collection[Key]) -> dict[Key, Counted]:
    held: dict[Key, Counted] = {}
    for item_ids in _chunks({item_id for item_id, _ in keys}):
        query = select(popularity).where(popularity.c.item_id.in_(item_ids))
        for item_id, kind, count, mass, time, _ in tx.execute(query):
            held[item_id, kind] = count, DecayedSum(mass, time)
    return held


def _left(tx: Transaction, keys: Collection[Key], half_life: float) -> dict[Key, Counted]:
    found: dict[Key, Counted] = {}
    for item_ids in _chunks({item_id for item_id, _ in keys}):
        rows = tx.execute(
            select(interactions.c.item_id, interactions.c.type, COUNTED_TIME)
            .where(interactions.c.item_id.in_(item_ids))
            .order_by(interactions.c.item_id)
        )
        found |= {key: counted for key, counted in _add_up(rows, half_life) if key in keys}
    return found


def _add_up(rows: Iterable[Sequence[Any]], half_life: float) -> Iterator[tuple[Key, Counted]]:
    """Yield what is to be counted of interactions, given as items, types, times, by item."""
    for item_id, theirs in groupby(rows, lambda row: row[0]):
        by_type: defaultdict[str, list[int]] = defaultdict(list)
        for _, kind, time in theirs:
            by_type[kind].append(time)
        for kind, moments in by_type.items():
            yield (item_id, kind), (len(moments), DecayedSum.of(moments, half_life))


def _chunks(item_ids: Iterable[str]) -> Iterator[list[str]]:
    waiting = iter(item_ids)
    while chunk := list(islice(waiting, CHUNK)):
        yield chunk


def _write(tx: Transaction, counted: Mapping[Key, Counted], upsert: Insert) -> int:
    revision = take_revisions(tx, 1)
    rows = [
        {
            "item_id": item_id,
            "type": kind,
            "interactions": count,
            "mass": total.mass,
            "time": total.time,
            "revision": revision,
        }
        for (item_id, kind), (count, total) in counted.items()
    ]
    tx.execute(upsert, rows)
    return revision


def _find_newest(tx: Transaction) -> None:
    newest = select(func.coalesce(func.max(popularity.c.time), EARLIEST)).where(
        popularity.c.interactions > 0
    )
    tx.execute(update(popularity_decay).values(newest=newest.scalar_subquery()))


def _upsert(changed: Callable[[Row, Row], dict[str, ColumnElement[Any]]]) -> Insert:
    statement = insert(popularity)
    return statement.on_conflict_do_update(
        index_elements=["item_id", "type"], set_=changed(popularity.c, statement.excluded)
    )


def _replaced(_held: Row, new: Row) -> dict[str, ColumnElement[Any]]:
    return {name: new[name] for name in ("interactions", "mass", "time", "revision")}


_REPLACE = _upsert(_replaced)


# Making a statement takes as long as counting a hundred interactions.
@lru_cache(1)
def _add(half_life: float) -> Insert:
    # Adds sums as DecayedSum.plus does, without reading them first.
    def added(held: Row, new: Row) -> dict[str, ColumnElement[Any]]:
        time = func.max(held.time, new.time)

        def left(part: Row) -> ColumnElement[Any]:
            whole: ColumnElement[Any] = part.mass
            if math.isinf(half_life):
                return whole
            return func.decayed(whole, time - part.time, half_life)

        return {
            "interactions": held.interactions + new.interactions,
            "mass": left(held) + left(new),
            "time": time,
            "revision": new.revision,
        }

    return _upsert(added)
