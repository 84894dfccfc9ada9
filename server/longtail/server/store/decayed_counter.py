"""Counts and decayed sums of what happened, by key, kept in a table beside what is recorded of it.

Of what happened only the times matter. A sum is kept as of its newest part, as DecayedSum has it.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from typing import Any

from longtail.server.store.decay import DecayedSum
from longtail.server.store.expressions import greater
from longtail.server.store.revisions import take_revisions
from longtail.server.store.transaction import Transaction
from longtail.server.store.upsert import Insert, insert
from sqlalchemy import Column, ColumnElement, Float, Table, bindparam, func, select, update
from sqlalchemy.sql.base import ReadOnlyColumnCollection

# Rows read, and parameters in one query, at a time.
CHUNK = 1000
# The first moment that a message can tell.
EARLIEST = -62_135_596_800_000_000

# An item, and what else the table tells apart.
Key = tuple[str, ...]
Times = Mapping[Key, Sequence[int]]
Counted = tuple[int, DecayedSum]
Row = ReadOnlyColumnCollection[str, Any]

NOTHING = DecayedSum(0.0, EARLIEST)


class DecayedCounter:
    """The table of one kind of counts. Everything runs in the caller's transaction.

    `table` has its key, the item first, the column `count`, and mass, time and revision; `decay`
    has one row with the half-life in microseconds, 0 where nothing decays; `recorded` are the
    columns of what is counted: the same key, and the time.
    """

    def __init__(
        self, table: Table, count: Column[int], decay: Table, recorded: Sequence[ColumnElement[Any]]
    ) -> None:
        self._table = table
        self._key = [column.name for column in table.primary_key]
        self._count = count.name
        self._decay = decay
        self._item = recorded[0]
        self._recorded = select(*recorded).order_by(self._item)
        self._add = self._upsert()
        self._set = (
            update(table)
            .where(*(table.c[name] == bindparam(f"its_{name}") for name in self._key))
            .values({name: bindparam(f"new_{name}") for name in ("mass", "time", "revision")})
        )
        self._take = self._set.values({self._count: count - bindparam("gone")})

    def half_life(self, tx: Transaction) -> float:
        """Return by what sums decay, microseconds or inf."""
        return float(tx.execute(select(self._decay.c.half_life)).scalar_one()) or math.inf

    def set_half_life(self, tx: Transaction, half_life: float) -> bool:
        """Have sums decay by `half_life`, microseconds or inf; return whether that is a change.

        A change reads all that is recorded: the sums cannot be had from each other.
        """
        if half_life == self.half_life(tx):
            return False
        stored = 0.0 if math.isinf(half_life) else half_life
        tx.execute(update(self._decay).values(half_life=stored))
        revision = take_revisions(tx, 1)
        tx.execute(update(self._table).values(mass=0.0, revision=revision))
        rows = tx.execute(self._recorded.execution_options(yield_per=CHUNK))
        sums = _add_up(rows, half_life)
        while chunk := list(islice(sums, CHUNK)):
            tx.execute(self._set, [self._new(key, total, revision) for key, (_, total) in chunk])
        return True

    def add(self, tx: Transaction, times: Times) -> int:
        """Count what happened, the times of it by key, at least one; return the revision."""
        half_life, revision = self.half_life(tx), take_revisions(tx, 1)
        rows = []
        for key, moments in times.items():
            total = DecayedSum.of(moments, half_life)
            rows.append(
                {
                    **dict(zip(self._key, key, strict=True)),
                    self._count: len(moments),
                    "mass": total.mass,
                    "time": total.time,
                    "revision": revision,
                    "by": half_life,
                }
            )
        tx.execute(self._add, rows)
        return revision

    def take_back(self, tx: Transaction, times: Times) -> int:
        """Take back what was counted and is no longer recorded; return the revision.

        A sum that loses its newest part is added up anew from what is left: that may be so little
        beside what goes that their difference would be rounding alone. Where some of what is left
        is no longer recorded, the difference counts unless it is the less.
        """
        half_life, revision = self.half_life(tx), take_revisions(tx, 1)
        held = self._held(tx, times)
        anew = {key for key, moments in times.items() if max(moments) >= held[key][1].time}
        recorded = self._left(tx, anew, half_life)
        rows = []
        for key, moments in times.items():
            count, total = held[key]
            total = total.minus(DecayedSum.of(moments, half_life), half_life)
            if key in anew:
                kept, whole = recorded.get(key, (0, NOTHING))
                if kept == count - len(moments) or whole.level(half_life) > total.level(half_life):
                    total = whole
            rows.append({**self._new(key, total, revision), "gone": len(moments)})
        tx.execute(self._take, rows)
        return revision

    def _held(self, tx: Transaction, keys: Collection[Key]) -> dict[Key, Counted]:
        columns = [self._table.c[name] for name in (*self._key, self._count, "mass", "time")]
        return {
            tuple(key): (count, DecayedSum(mass, time))
            for items in _chunks(keys)
            for *key, count, mass, time in tx.execute(select(*columns).where(columns[0].in_(items)))
        }

    def _left(self, tx: Transaction, keys: Collection[Key], half_life: float) -> dict[Key, Counted]:
        return {
            key: counted
            for items in _chunks(keys)
            for key, counted in _add_up(
                tx.execute(self._recorded.where(self._item.in_(items))), half_life
            )
            if key in keys
        }

    def _new(self, key: Key, total: DecayedSum, revision: int) -> dict[str, Any]:
        its = {f"its_{name}": part for name, part in zip(self._key, key, strict=True)}
        return {**its, "new_mass": total.mass, "new_time": total.time, "new_revision": revision}

    def _upsert(self) -> Insert:
        # Adds sums as DecayedSum.plus does, without reading them first.
        statement = insert(self._table)
        held, new = self._table.c, statement.excluded
        time = greater(held.time, new.time)

        def left(part: Row) -> ColumnElement[Any]:
            return func.decayed(part.mass, time - part.time, bindparam("by", type_=Float))

        added = {
            self._count: held[self._count] + new[self._count],
            "mass": left(held) + left(new),
            "time": time,
            "revision": new.revision,
        }
        return statement.on_conflict_do_update(index_elements=self._key, set_=added)


def _add_up(rows: Iterable[Sequence[Any]], half_life: float) -> Iterator[tuple[Key, Counted]]:
    """Yield count and sum of each key of what is recorded, given as keys and times, by item."""
    for _, theirs in groupby(rows, lambda row: row[0]):
        times: defaultdict[Key, list[int]] = defaultdict(list)
        for *key, time in theirs:
            times[tuple(key)].append(time)
        for found, moments in times.items():
            yield found, (len(moments), DecayedSum.of(moments, half_life))


def _chunks(keys: Collection[Key]) -> Iterator[list[str]]:
    waiting = iter({key[0] for key in keys})
    while chunk := list(islice(waiting, CHUNK)):
        yield chunk
