"""How much each item was shown of late: counts and decayed sums of impressions, kept up to date."""

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

from longtail.server.store.decay import DecayedSum
from longtail.server.store.revisions import take_revisions
from longtail.server.store.schema import exposure, exposure_decay, impressions
from longtail.server.store.transaction import Transaction
from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects.sqlite import Insert, insert

# Rows read, and parameters in one query, at a time.
CHUNK = 1000

# A smaller share of a difference than this has too few digits left.
DROWNED = 1e-6

Times = Mapping[str, Sequence[int]]
Counted = tuple[int, DecayedSum]

NOTHING = DecayedSum(0.0, 0)


def half_life_of(tx: Transaction) -> float:
    """Return the half-life of exposure in microseconds."""
    return float(tx.execute(select(exposure_decay.c.half_life)).scalar_one())


def set_half_life(tx: Transaction, half_life: float) -> bool:
    """Have exposure decay by `half_life`, microseconds; return whether that is a change.

    A change reads all impressions that are kept: the sums cannot be had from each other.
    """
    if half_life == half_life_of(tx):
        return False
    tx.execute(update(exposure_decay).values(half_life=half_life))
    query = select(impressions.c.item_id, impressions.c.time).order_by(impressions.c.item_id)
    rows = tx.execute(query.execution_options(yield_per=CHUNK))
    sums = [
        {"item": item_id, **_columns(DecayedSum.of((row.time for row in theirs), half_life))}
        for item_id, theirs in groupby(rows, lambda row: row.item_id)
    ]
    tx.execute(update(exposure).values(mass=0.0, revision=take_revisions(tx, 1)))
    if sums:
        tx.execute(_UPDATE_SUM, sums)
    return True


def add_shown(tx: Transaction, times: Times) -> int:
    """Count impressions, the times of them by item, at least one; return the revision."""
    half_life = half_life_of(tx)

    def add(_item_id: str, held: Counted, added: Counted) -> Counted:
        return held[0] + added[0], held[1].plus(added[1], half_life)

    return _change(tx, times, half_life, add)


def take_back_shown(tx: Transaction, times: Times) -> int:
    """Take back impressions, the times of them by item, at least one; return the revision.

    They were counted, and are removed.
    """
    half_life = half_life_of(tx)

    def take_back(item_id: str, held: Counted, gone: Counted) -> Counted:
        left = held[1].minus(gone[1], half_life)
        # It may be so little beside what goes that it is nothing but rounding.
        if left.mass < DROWNED * gone[1].at(left.time, half_life):
            query = select(impressions.c.time).where(impressions.c.item_id == item_id)
            kept = tx.execute(query).scalars().all()
            left = DecayedSum.of(kept, half_life) if kept else NOTHING
        return held[0] - gone[0], left

    return _change(tx, times, half_life, take_back)


def _change(
    tx: Transaction,
    times: Times,
    half_life: float,
    changed: Callable[[str, Counted, Counted], Counted],
) -> int:
    revision = take_revisions(tx, 1)
    held = _read(tx, list(times))
    rows = []
    for item_id, moments in times.items():
        part = len(moments), DecayedSum.of(moments, half_life)
        count, total = changed(item_id, held.get(item_id, (0, NOTHING)), part)
        row = {"item_id": item_id, "impressions": count, "revision": revision}
        rows.append(row | _columns(total))
    tx.execute(_UPSERT, rows)
    return revision


def _read(tx: Transaction, item_ids: Sequence[str]) -> dict[str, Counted]:
    held: dict[str, Counted] = {}
    for start in range(0, len(item_ids), CHUNK):
        chunk = item_ids[start : start + CHUNK]
        for row in tx.execute(select(exposure).where(exposure.c.item_id.in_(chunk))):
            held[row.item_id] = row.impressions, DecayedSum(row.mass, row.time)
    return held


def _columns(total: DecayedSum) -> dict[str, Any]:
    return {"mass": total.mass, "time": total.time}


_UPDATE_SUM = (
    update(exposure)
    .where(exposure.c.item_id == bindparam("item"))
    .values(mass=bindparam("mass"), time=bindparam("time"))
)


def _upsert() -> Insert:
    statement = insert(exposure)
    replaced = ("impressions", "mass", "time", "revision")
    return statement.on_conflict_do_update(
        index_elements=["item_id"], set_={name: statement.excluded[name] for name in replaced}
    )


_UPSERT = _upsert()
