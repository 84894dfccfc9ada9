"""What people were shown."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from longtail.server.store.clock import bring_back
from longtail.server.store.decayed_counter import DecayedCounter, Key
from longtail.server.store.erasures import Erasures
from longtail.server.store.records import Impression, Responses, ShownItem, ShownLists
from longtail.server.store.revisions import current_revision
from longtail.server.store.schema import exposure, exposure_decay, impressions, interactions
from longtail.server.store.transaction import Transaction
from sqlalchemy import BigInteger, Engine, String, delete, func, literal_column, select, tuple_

# How much each item was shown, what is no longer kept included. Its keys are an item alone.
EXPOSURE = DecayedCounter(
    exposure,
    exposure.c.impressions,
    exposure_decay,
    (impressions.c.item_id, impressions.c.time),
)


class ImpressionRecords:
    """Impressions, and the exposure that they add up to. Writes run in the caller's transaction."""

    def __init__(self, engine: Engine, erasures: Erasures) -> None:
        self._engine = engine
        self._erasures = erasures

    def write(self, tx: Transaction, shown: Sequence[Impression], made: int) -> tuple[int, int]:
        """Record impressions of one person; return how many were new, and their revision.

        The same item at the same position of the same list is recorded once, as it came first.
        Nothing is when the person was deleted since the revision `made`, that of the list.
        """
        if self._erasures.revision_of(tx, shown[0].user_id) > made:
            return 0, current_revision(tx)
        query = select(impressions.c.list_id, impressions.c.item_id, impressions.c.position)
        lists = {impression.list_id for impression in shown}
        known = {tuple(row) for row in tx.execute(query.where(impressions.c.list_id.in_(lists)))}
        new: dict[tuple[bytes, str, int], Impression] = {}
        for impression in shown:
            key = impression.list_id, impression.item_id, impression.position
            if key not in known:
                new.setdefault(key, impression)
        if not new:
            return 0, current_revision(tx)
        tx.execute(impressions.insert(), [vars(impression) for impression in new.values()])
        times = _by_item((impression.item_id, impression.time) for impression in new.values())
        return len(new), EXPOSURE.add(tx, times)

    def delete_user(self, tx: Transaction, user_id: str) -> tuple[int, int]:
        """Remove what a person was shown; return how many impressions, and the revision."""
        theirs = impressions.c.user_id == user_id
        query = select(impressions.c.item_id, impressions.c.time).where(theirs)
        times = _by_item((row.item_id, row.time) for row in tx.execute(query))
        if not times:
            return 0, current_revision(tx)
        tx.execute(delete(impressions).where(theirs))
        return sum(map(len, times.values())), EXPOSURE.take_back(tx, times)

    def prune(self, tx: Transaction, before_time: int, limit: int) -> int:
        """Forget up to `limit` impressions from before a time, the oldest first; return how many.

        They stay counted as exposure. What was recorded before the clock was set back counts as
        recorded now.
        """
        bring_back(tx, impressions.c.time)
        key = tuple_(*impressions.primary_key)
        oldest = (
            select(*impressions.primary_key)
            .where(impressions.c.time < before_time)
            .order_by(impressions.c.time)
            .limit(limit)
        )
        return tx.execute(delete(impressions).where(key.in_(oldest))).rowcount

    def set_half_life(self, tx: Transaction, half_life: float) -> bool:
        """Have exposure decay by another half-life: see DecayedCounter."""
        return EXPOSURE.set_half_life(tx, half_life)

    def recent(self, user_id: str, since: int, limit: int) -> list[tuple[str, int]]:
        """Return the items that a person was shown from `since` on, each with the last time of it.

        The latest come first, at most `limit`.
        """
        last = func.max(impressions.c.time)
        query = (
            select(impressions.c.item_id, last)
            .where(impressions.c.user_id == user_id, impressions.c.time >= since)
            .group_by(impressions.c.item_id)
            .order_by(last.desc(), impressions.c.item_id)
            .limit(limit)
        )
        with self._engine.connect() as connection:
            return [(item_id, time) for item_id, time in connection.execute(query)]

    def shown(self, start: int, end: int) -> ShownLists:
        """Count what was shown in the span from `start` until just before `end`.

        Raises StorageFull when there is no room to sort very many of them.
        """
        share = 1.0 / func.count().over(partition_by=impressions.c.list_id)
        span = (
            select(impressions, share.label("share"))
            .where(impressions.c.time >= start, impressions.c.time < end)
            .subquery()
        )
        by_item = select(span.c.item_id, func.count(), func.sum(span.c.share))
        # The shares of a list add up to 1, so this adds up what each list lost.
        losses = func.coalesce(func.sum(span.c.relevance_loss * span.c.share), 0.0)
        whole = select(func.count(), func.count(span.c.list_id.distinct()), losses)
        with self._engine.connect() as connection:
            count, lists, lost = connection.execute(whole.select_from(span)).one()
            rows = connection.execute(by_item.group_by(span.c.item_id))
            return ShownLists([ShownItem(*row) for row in rows], count, lists, lost / max(1, lists))

    def responses(self, item_id: str) -> tuple[Responses, Responses]:
        """Return how often an item was shown and what came of it, and the same of all items."""
        # PostgreSQL's sums of integers are decimals.
        shown = select(func.coalesce(func.sum(exposure.c.impressions).cast(BigInteger), 0))
        # Written out, so that SQLite sees that the index of these is meant.
        none = literal_column("''", String)
        came = select(func.count()).where(interactions.c.recommendation_token != none)
        with self._engine.connect() as connection:
            item = Responses(
                connection.execute(shown.where(exposure.c.item_id == item_id)).scalar_one(),
                connection.execute(came.where(interactions.c.item_id == item_id)).scalar_one(),
            )
            everything = Responses(
                connection.execute(shown).scalar_one(), connection.execute(came).scalar_one()
            )
        return item, everything


def _by_item(shown: Iterable[tuple[str, int]]) -> dict[Key, list[int]]:
    times: defaultdict[Key, list[int]] = defaultdict(list)
    for item_id, time in shown:
        times[item_id,].append(time)
    return times
