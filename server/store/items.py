"""Items and their vectors."""

import json
import time
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Engine, Row, case, delete, select, update
from sqlalchemy.dialects.sqlite import insert

from server.store.database import writing
from server.store.records import (
    EncodedText,
    ItemContent,
    NewItem,
    StoredItem,
    decode_vector,
    encode_vector,
)
from server.store.revisions import take_revisions
from server.store.schema import items, vectors


class ItemRecords:
    """Items and their vectors. One thread writes at a time; any number read meanwhile."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def upsert(self, new_items: Sequence[NewItem]) -> int:
        """Write items, no id twice; return the revision that holds them all."""
        now = _now()
        with writing(self._engine) as connection:
            last = take_revisions(connection, len(new_items))
            statement = insert(items)
            replaced: dict[str, Any] = {
                column.name: statement.excluded[column.name]
                for column in items.columns
                if column.name not in ("id", "create_time")
            }
            # An item that was removed and comes back is a new one.
            replaced["create_time"] = case(
                (items.c.removed, statement.excluded.create_time), else_=items.c.create_time
            )
            connection.execute(
                statement.on_conflict_do_update(index_elements=["id"], set_=replaced),
                [
                    {
                        "id": item.content.id,
                        "revision": last - len(new_items) + position,
                        "removed": False,
                        "title": item.content.title,
                        "text": item.content.text,
                        "attributes": json.dumps(item.content.attributes),
                        "prior": item.content.prior,
                        "vector_given": item.vector_given,
                        "create_time": now,
                        "update_time": now,
                    }
                    for position, item in enumerate(new_items, start=1)
                ],
            )
            vector = insert(vectors)
            connection.execute(
                vector.on_conflict_do_update(
                    index_elements=["item_id"], set_={"data": vector.excluded.data}
                ),
                [
                    {"item_id": item.content.id, "data": encode_vector(item.vector)}
                    for item in new_items
                ],
            )
        return last

    def remove(self, item_id: str) -> int | None:
        """Remove an item; return the revision that holds the removal, None if there is none."""
        with writing(self._engine) as connection:
            there = items.c.id == item_id, ~items.c.removed
            if connection.execute(select(items.c.id).where(*there)).first() is None:
                return None
            last = take_revisions(connection, 1)
            blank = {"title": "", "text": "", "attributes": "{}", "prior": 0.0}
            connection.execute(
                update(items).where(*there).values(removed=True, revision=last, **blank)
            )
            connection.execute(delete(vectors).where(vectors.c.item_id == item_id))
        return last

    def get(self, ids: Collection[str]) -> dict[str, StoredItem]:
        """Return those of `ids` that exist."""
        query = select(items).where(items.c.id.in_(ids), ~items.c.removed)
        with self._engine.connect() as connection:
            return {row.id: _stored_item(row) for row in connection.execute(query)}

    def list_page(self, *, after: str, limit: int) -> list[StoredItem]:
        """Return the first `limit` items whose ids come after `after`, in the order of ids."""
        query = select(items).where(items.c.id > after, ~items.c.removed)
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(items.c.id).limit(limit))
            return [_stored_item(row) for row in rows]

    def encoded_texts(self, ids: Collection[str]) -> dict[str, EncodedText]:
        """Return what the vectors of those `ids` that exist were made from.

        Items that came with vectors of their own are left out.
        """
        query = (
            select(items.c.id, items.c.title, items.c.text, vectors.c.data)
            .join(vectors, vectors.c.item_id == items.c.id)
            .where(items.c.id.in_(ids), ~items.c.removed, ~items.c.vector_given)
        )
        with self._engine.connect() as connection:
            return {
                row.id: EncodedText(row.title, row.text, decode_vector(row.data))
                for row in connection.execute(query)
            }


def _stored_item(row: Row[Any]) -> StoredItem:
    content = ItemContent(row.id, row.title, row.text, json.loads(row.attributes), row.prior)
    return StoredItem(content, row.create_time, row.update_time)


def _now() -> int:
    return time.time_ns() // 1000
