"""What people did, and how often each item was met with."""

from collections.abc import Sequence

from sqlalchemy import Connection, Engine, delete, func, select
from sqlalchemy.dialects.sqlite import insert

from server.store.database import writing
from server.store.records import Interaction, PastInteraction
from server.store.revisions import current_revision, take_revisions
from server.store.schema import interactions, popularity


class InteractionRecords:
    """Interactions and their counts. One thread writes at a time; any number read meanwhile."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def write(self, events: Sequence[Interaction]) -> tuple[int, int]:
        """Record interactions; return how many were new, and the revision that holds them.

        An event_id that is recorded already, or comes twice, is recorded once, as it came first.
        """
        with writing(self._engine) as connection:
            ids = [event.event_id for event in events]
            known = set(
                connection.execute(
                    select(interactions.c.event_id).where(interactions.c.event_id.in_(ids))
                ).scalars()
            )
            new: dict[str, Interaction] = {}
            for event in events:
                if event.event_id not in known:
                    new.setdefault(event.event_id, event)
            if not new:
                return 0, current_revision(connection)
            connection.execute(insert(interactions), [vars(event) for event in new.values()])
            counted: dict[str, int] = {}
            for event in new.values():
                counted[event.item_id] = counted.get(event.item_id, 0) + 1
            return len(new), _count_interactions(connection, counted)

    def delete_user(self, user_id: str) -> tuple[int, int]:
        """Forget a person; return how many interactions that were, and the revision."""
        with writing(self._engine) as connection:
            theirs = interactions.c.user_id == user_id
            counted = {
                row.item_id: -int(row.events)
                for row in connection.execute(
                    select(interactions.c.item_id, func.count().label("events"))
                    .where(theirs)
                    .group_by(interactions.c.item_id)
                )
            }
            if not counted:
                return 0, current_revision(connection)
            connection.execute(delete(interactions).where(theirs))
            return -sum(counted.values()), _count_interactions(connection, counted)

    def history(self, user_id: str) -> list[PastInteraction]:
        """Return all that a person did, from the most recent on."""
        query = (
            select(interactions.c.item_id, interactions.c.type, interactions.c.value)
            .where(interactions.c.user_id == user_id)
            .order_by(interactions.c.time.desc(), interactions.c.event_id)
        )
        with self._engine.connect() as connection:
            return [PastInteraction(*row) for row in connection.execute(query)]


def _count_interactions(connection: Connection, counted: dict[str, int]) -> int:
    last = take_revisions(connection, 1)
    statement = insert(popularity)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["item_id"],
            set_={
                "interactions": popularity.c.interactions + statement.excluded.interactions,
                "revision": statement.excluded.revision,
            },
        ),
        [
            {"item_id": item_id, "interactions": count, "revision": last}
            for item_id, count in counted.items()
        ],
    )
    return last
