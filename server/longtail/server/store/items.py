"""Items and their vectors."""

import json
from collections.abc import Collection, Sequence
from typing import Any

from longtail.server.process.interpreter import giving_way
from longtail.server.store.attribute_names import move_names
from longtail.server.store.clock import now
from longtail.server.store.counts import move_counts
from longtail.server.store.encoders import UPSERT_VECTOR, require_current
from longtail.server.store.expressions import among, elements_of
from longtail.server.store.json_object import EMPTY, decode_object, encode_object
from longtail.server.store.records import (
    EncodedText,
    ItemContent,
    NewItem,
    State,
    StoredItem,
    decode_vector,
    encode_vector,
)
from longtail.server.store.revisions import current_revision, take_revisions
from longtail.server.store.schema import encoders, items, vectors
from longtail.server.store.spaces import remove_extra_vectors, replace_extra_vectors
from longtail.server.store.transaction import Transaction
from longtail.server.store.upsert import Insert, insert
from longtail.server.store.usage import move_usage
from sqlalchemy import (
    ColumnElement,
    Engine,
    Row,
    Select,
    String,
    and_,
    bindparam,
    case,
    delete,
    func,
    select,
    update,
)


class ItemRecords:
    """Items and their vectors. Writes run in the caller's transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def upsert(
        self, tx: Transaction, new_items: Sequence[NewItem], encoder_id: int, owner: str = ""
    ) -> tuple[int, int]:
        """Write items, no id twice, with their vectors of one encoder.

        Returns how many were not there, and the last revision. Those are of the key `owner`, if
        that is not empty, as long as they are there.

        The vectors that other encoders made of a text that is replaced are dropped. Raises
        EncoderChanged when the encoder is not the catalogue's, or is so no more, and SpaceDeleted.
        """
        if not new_items:
            return 0, current_revision(tx)
        others = require_current(tx, encoder_id)
        if others:
            _drop_outdated(tx, new_items, others)
        replace_extra_vectors(tx, new_items)
        there = self.revisions(tx, [item.content.id for item in new_items])
        added = len(new_items) - len(there)
        move_counts(tx, items=added)
        move_usage(tx, owner, items=added)
        come = [item.content.attributes for item in new_items if item.content.attributes]
        move_names(tx, gone=self._attributes(tx, there), come=come)
        moment = now()
        last = take_revisions(tx, len(new_items))
        tx.execute(
            _UPSERT_ITEM,
            [
                {
                    "id": content.id,
                    "revision": revision,
                    "removed": False,
                    "title": content.title,
                    "text": content.text,
                    "attributes": encode_object(content.attributes),
                    "prior": content.prior,
                    "vector_given": item.vector_given,
                    "create_time": moment,
                    "update_time": moment,
                    "state": content.state,
                    "available_from": content.available_from,
                    "available_until": content.available_until,
                    "penalty": content.penalty,
                    "content_revision": revision,
                    "owner": owner,
                }
                for revision, item in enumerate(new_items, start=last - len(new_items) + 1)
                for content in (item.content,)
            ],
        )
        _put_vectors(tx, encoder_id, new_items)
        return added, last

    def remove(self, tx: Transaction, ids: Collection[str]) -> tuple[frozenset[str], int]:
        """Remove items; return those of `ids` that were there, and the revision."""
        there = self.revisions(tx, ids)
        if not there:
            return frozenset(), current_revision(tx)
        move_counts(tx, items=-len(there))
        move_names(tx, gone=self._attributes(tx, there), come=())
        owned = select(items.c.owner, func.count()).where(
            items.c.id.in_(there), items.c.owner != ""
        )
        for owner, count in tx.execute(owned.group_by(items.c.owner)).all():
            move_usage(tx, owner, items=-count)
        last = take_revisions(tx, len(there))
        first = last - len(there) + 1
        tx.execute(
            _REMOVE_ITEM,
            [
                {"removed_id": item_id, "removal": revision}
                for revision, item_id in enumerate(there, start=first)
            ],
        )
        tx.execute(
            delete(vectors).where(
                vectors.c.encoder_id.in_(select(encoders.c.id)),
                vectors.c.item_id.in_(list(there)),
            )
        )
        remove_extra_vectors(tx, there)
        return frozenset(there), last

    def revisions(self, tx: Transaction, ids: Collection[str]) -> dict[str, int]:
        """Return the revisions of the current versions of those of `ids` that exist."""
        rows = tx.execute(_REVISIONS, {"ids": json.dumps(list(ids))})
        return {item_id: revision for item_id, revision in rows if revision is not None}

    def _attributes(self, tx: Transaction, ids: Collection[str]) -> list[dict[str, Any]]:
        if not ids:
            return []
        theirs = items.c.id.in_(among(ids)), items.c.attributes != EMPTY
        query = select(items.c.attributes).where(*theirs)
        return [decode_object(text) for text in giving_way(tx.execute(query).scalars())]

    def current(self, tx: Transaction, ids: Collection[str]) -> dict[str, StoredItem]:
        """Return those of `ids` that exist, as the transaction sees them."""
        query = select(items).where(items.c.id.in_(ids), ~items.c.removed)
        return {row.id: _stored_item(row) for row in giving_way(tx.execute(query))}

    def get(self, ids: Collection[str]) -> dict[str, StoredItem]:
        """Return those of `ids` that exist."""
        with self._engine.connect() as connection:
            return self.current(connection, ids)

    def with_vector(self, ids: Collection[str], encoder_id: int) -> frozenset[str]:
        """Return those of `ids` that an encoder has a vector of."""
        if not ids:
            return frozenset()
        query = select(vectors.c.item_id)
        theirs = vectors.c.encoder_id == encoder_id, vectors.c.item_id.in_(ids)
        with self._engine.connect() as connection:
            return frozenset(connection.execute(query.where(*theirs)).scalars())

    def list_page(self, *, after: str, limit: int) -> list[StoredItem]:
        """Return the first `limit` items whose ids come after `after`, in the order of ids."""
        query = select(items).where(items.c.id > after, ~items.c.removed)
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(items.c.id).limit(limit))
            return [_stored_item(row) for row in rows]

    def encoded_texts(self, ids: Collection[str], encoder_id: int) -> dict[str, EncodedText]:
        """Return what an encoder's vectors of those `ids` that exist were made from.

        Items that came with vectors of their own are left out.
        """
        query = (
            select(items.c.id, items.c.title, items.c.text, vectors.c.data)
            .join(vectors, vectors.c.item_id == items.c.id)
            .where(
                vectors.c.encoder_id == encoder_id,
                items.c.id.in_(ids),
                ~items.c.removed,
                ~items.c.vector_given,
            )
        )
        with self._engine.connect() as connection:
            return {
                row.id: EncodedText(row.title, row.text, decode_vector(row.data))
                for row in connection.execute(query)
            }


def _put_vectors(tx: Transaction, encoder_id: int, new_items: Sequence[NewItem]) -> None:
    rows = [
        {
            "encoder_id": encoder_id,
            "item_id": item.content.id,
            "data": encode_vector(item.vector),
        }
        for item in new_items
        if item.vector is not None
    ]
    if rows:
        tx.execute(UPSERT_VECTOR, rows)
    without = [item.content.id for item in new_items if item.vector is None]
    if without:
        theirs = vectors.c.encoder_id == encoder_id, vectors.c.item_id.in_(without)
        tx.execute(delete(vectors).where(*theirs))


def _drop_outdated(tx: Transaction, new_items: Sequence[NewItem], others: Collection[int]) -> None:
    # The next encoder keeps what it made of texts that stay, so that a change of encoder is not
    # thrown back by writes that only touch attributes.
    new = {item.content.id: item for item in new_items}
    query = select(items.c.id, items.c.title, items.c.text, items.c.vector_given)
    outdated = [
        row.id
        for row in tx.execute(query.where(items.c.id.in_(new), ~items.c.removed))
        if row.vector_given
        or new[row.id].vector_given
        or (row.title, row.text) != (new[row.id].content.title, new[row.id].content.text)
    ]
    if outdated:
        of_others = vectors.c.encoder_id.in_(others), vectors.c.item_id.in_(outdated)
        tx.execute(delete(vectors).where(*of_others))


def _revisions() -> Select[Any]:
    # Each is looked up: what PostgreSQL makes of a join while there is little stays its plan.
    ids = elements_of(bindparam("ids", type_=String)).table_valued("value")
    there = items.c.id == ids.c.value, ~items.c.removed
    return select(ids.c.value, select(items.c.revision).where(*there).scalar_subquery())


_REVISIONS = _revisions()

# What is approved in a review.
_CONTENT = ("title", "text", "attributes", "state")


def _upsert_item() -> Insert:
    statement = insert(items)
    replaced: dict[str, ColumnElement[Any]] = {
        column.name: statement.excluded[column.name]
        for column in items.columns
        if column.name not in ("id", "create_time", "update_time")
    }
    # An item that was removed and comes back is a new one.
    new = statement.excluded.create_time
    replaced["owner"] = case((items.c.removed, statement.excluded.owner), else_=items.c.owner)
    replaced["create_time"] = case((items.c.removed, new), else_=items.c.create_time)
    # No item changes before it was made, though the clock be set back.
    set_back = and_(~items.c.removed, items.c.create_time > new)
    replaced["update_time"] = case((set_back, items.c.create_time), else_=new)
    kept = [items.c[name] == statement.excluded[name] for name in _CONTENT]
    replaced["content_revision"] = case(
        (and_(~items.c.removed, *kept), items.c.content_revision),
        else_=statement.excluded.content_revision,
    )
    return statement.on_conflict_do_update(index_elements=["id"], set_=replaced)


_UPSERT_ITEM = _upsert_item()

# Nothing of what was written stays but the id.
_REMOVE_ITEM = (
    update(items)
    .where(items.c.id == bindparam("removed_id"))
    .values(
        revision=bindparam("removal"),
        removed=True,
        title="",
        text="",
        attributes=EMPTY,
        prior=0.0,
        vector_given=False,
        state=State.ACTIVE,
        available_from=None,
        available_until=None,
        penalty=0.0,
        content_revision=bindparam("removal"),
        owner="",
    )
)


def _stored_item(row: Row[Any]) -> StoredItem:
    content = ItemContent(
        row.id,
        row.title,
        row.text,
        decode_object(row.attributes),
        row.prior,
        State(row.state),
        row.available_from,
        row.available_until,
        row.penalty,
    )
    return StoredItem(content, row.create_time, row.update_time, row.revision, row.vector_given)
