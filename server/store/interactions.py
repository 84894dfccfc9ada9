"""What people did, and how often each item was met with."""

from collections import Counter
from collections.abc import Mapping, Sequence

from sqlalchemy import Engine, and_, delete, func, or_, select
from sqlalchemy.dialects.sqlite import Insert, insert

from server.store.records import Interaction, PastInteraction
from server.store.revisions import current_revision, take_revisions
from server.store.schema import interactions, popularity
from server.store.transaction import Transaction


class InteractionRecords:
    """Interactions and their counts. Writes run in the caller's transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def write(self, tx: Transaction, events: Sequence[Interaction]) -> tuple[int, int]:
        """Record interactions; return how many were new, and the revision that holds them.

        An event_id that is recorded already, or comes twice, is recorded once, as it came first.
        """
        ids = [event.event_id for event in events]
        query = select(interactions.c.event_id).where(interactions.c.event_id.in_(ids))
        known = set(tx.execute(query).scalars())
        new: dict[str, Interaction] = {}
        for event in events:
            if event.event_id not in known:
                new.setdefault(event.event_id, event)
        if not new:
            return 0, current_revision(tx)
        tx.execute(_INSERT_INTERACTION, [vars(event) for event in new.values()])
        return len(new), _count(tx, Counter(event.item_id for event in new.values()))

    def delete_user(self, tx: Transaction, user_id: str) -> tuple[int, int]:
        """Forget a person; return how many interactions that were, and the revision."""
        theirs = interactions.c.user_id == user_id
        query = select(interactions.c.item_id, func.count()).where(theirs)
        counted = {
            item_id: -count for item_id, count in tx.execute(query.group_by(interactions.c.item_id))
        }
        if not counted:
            return 0, current_revision(tx)
        tx.execute(delete(interactions).where(theirs))
        return -sum(counted.values()), _count(tx, counted)

    def history(self, user_id: str, limit: int) -> list[PastInteraction]:
        """Return what a person did, at most `limit`, from the latest on."""
        query = (
            select(interactions.c.item_id, interactions.c.type, interactions.c.value)
            .where(interactions.c.user_id == user_id)
            .order_by(interactions.c.time.desc(), interactions.c.event_id)
            .limit(limit)
        )
        with self._engine.connect() as connection:
            return [PastInteraction(*row) for row in connection.execute(query)]

    def seen_items(self, user_id: str, types: frozenset[str]) -> frozenset[str]:
        """Return the items that a person met with in one of `types` of interactions; none: all."""
        query = select(interactions.c.item_id).where(interactions.c.user_id == user_id)
        if types:
            query = query.where(interactions.c.type.in_(types))
        with self._engine.connect() as connection:
            return frozenset(connection.execute(query).scalars())

    def list_page(
        self, *, user_id: str, item_id: str, after: tuple[int, str] | None, limit: int
    ) -> list[Interaction]:
        """Return interactions of a person, with an item, or both; an empty id stands for any.

        The latest first, those of one moment by event_id; at most `limit` of those that come
        `after` the time and event_id of another.
        """
        query = select(interactions)
        if user_id:
            query = query.where(interactions.c.user_id == user_id)
        if item_id:
            query = query.where(interactions.c.item_id == item_id)
        if after is not None:
            time, event_id = after
            # The first condition, implied by the second, is the one that an index helps with.
            query = query.where(
                interactions.c.time <= time,
                or_(
                    interactions.c.time < time,
                    and_(interactions.c.time == time, interactions.c.event_id > event_id),
                ),
            )
        query = query.order_by(interactions.c.time.desc(), interactions.c.event_id).limit(limit)
        with self._engine.connect() as connection:
            return [Interaction(**row._mapping) for row in connection.execute(query)]


_INSERT_INTERACTION = insert(interactions)


def _upsert_popularity() -> Insert:
    statement = insert(popularity)
    return statement.on_conflict_do_update(
        index_elements=["item_id"],
        set_={
            "interactions": popularity.c.interactions + statement.excluded.interactions,
            "revision": statement.excluded.revision,
        },
    )


_UPSERT_POPULARITY = _upsert_popularity()


def _count(tx: Transaction, counted: Mapping[str, int]) -> int:
    last = take_revisions(tx, 1)
    tx.execute(
        _UPSERT_POPULARITY,
        [
            {"item_id": item_id, "interactions": count, "revision": last}
            for item_id, count in counted.items()
        ],
    )
    return last
