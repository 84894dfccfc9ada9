"""Every write: encode what needs a vector, commit to the store, answer once.

When a write is acknowledged it is durable and can be found: the group commit that does the writes
brings the view up to date before it says that they are done.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from longtail.runtime.errors import Aborted, InvalidArgument, ServiceError, Violation
from longtail.server.process.audit import Audit
from longtail.server.process.pools import Pools
from longtail.server.store.clock import now
from longtail.server.store.encoders import EncoderChanged
from longtail.server.store.group_commit import GroupCommit
from longtail.server.store.record_store import RecordStore
from longtail.server.store.records import (
    NO_VECTORS,
    BoundEncoder,
    Forgotten,
    Impression,
    Interaction,
    NewDecision,
    Operation,
    OperationKind,
    StoredItem,
    Vector,
    VectorSpace,
)
from longtail.server.store.spaces import SpaceDeleted
from longtail.server.store.transaction import Transaction
from longtail.server.write.attribute_limit import beyond_names
from longtail.server.write.encoding import Embed, ItemEncoder, KnownItems, PreparedItems
from longtail.server.write.idempotency import AnsweredCalls, RepeatableCall
from longtail.server.write.item_draft import ItemDraft
from longtail.server.write.quota import Quota

R = TypeVar("R")

# Of what adds nothing that is counted.
UNLIMITED = Quota()
# A write that finds its item, or the encoder, changed since it was prepared is prepared anew.
ATTEMPTS = 5


@dataclass(frozen=True)
class ItemEdit:
    """An item as it is to be; `keeps_vector` when that is the caller's own, given before."""

    draft: ItemDraft
    keeps_vector: bool


Change = Callable[[StoredItem | None, BoundEncoder, Mapping[VectorSpace, Vector]], ItemEdit]


@dataclass(frozen=True)
class _ReadEdit:
    """An item as it was read, as it is to be, and what is known of the latter."""

    stored: StoredItem | None
    draft: ItemDraft
    known: KnownItems


@dataclass(frozen=True)
class Upserted:
    """What became of a batch: `refused` says of which items, and why, they were not written.

    `added`, `changed` and `unchanged` count the others, the last of which needed no write.
    """

    refused: Mapping[str, ServiceError]
    added: int
    changed: int
    unchanged: int
    revision: int


class _OvertakenError(Exception):
    """Another write came between the reading of an item and its writing."""


class Catalogue:
    """Writes items, interactions and impressions.

    A method with a `call` does its write once, however often the call is repeated. Each `reply`
    makes the answer within the transaction, so that the store keeps both or neither. `bound` says
    which encoder new vectors are to be of, and `embed` makes them. `audit` is told of what is done
    to the catalogue, and of whom is forgotten; what is recorded of persons is there to be read.
    There are `attribute_names` names of attributes at most.
    """

    def __init__(
        self,
        store: RecordStore,
        bound: Callable[[], BoundEncoder],
        embed: Embed,
        commit: GroupCommit,
        pools: Pools,
        audit: Audit,
        attribute_names: int,
    ) -> None:
        self._audit = audit
        self._attribute_names = attribute_names
        self._store = store
        self._bound = bound
        self._commit = commit
        self._pools = pools
        self._items = ItemEncoder(store, embed)
        self._answered = AnsweredCalls(store.requests)

    @property
    def encoder(self) -> BoundEncoder:
        """Return the encoder that vectors are to be of now."""
        return self._bound()

    def spaces(self) -> dict[str, VectorSpace]:
        """Return the spaces beside the encoder's, by name. Reads the store."""
        return {space.name: space for space in self._store.changes.vector_spaces()}

    def answered(self, call: RepeatableCall[R] | None) -> R | None:
        """Return the answer that `call` had, before anything is done for it; None without one.

        Reads the store. Raises InvalidArgument when its id came with another request before.
        """
        return None if call is None else self._answered.find(call)

    def look_up(self, drafts: Sequence[ItemDraft], bound: BoundEncoder) -> KnownItems:
        """Return what is known of `drafts`, no id twice, that were validated for an encoder.

        Reads the store.
        """
        return self._items.look_up(drafts, bound)

    def given_vectors(self, items: Sequence[StoredItem]) -> Mapping[str, Vector]:
        """Return the vectors of those of `items` that came with one. Reads the store."""
        given = [item.content.id for item in items if item.vector_given]
        return self._store.changes.vectors(self.encoder.id, given) if given else {}

    def extra_vectors(self, ids: Collection[str]) -> dict[str, dict[VectorSpace, Vector]]:
        """Return the vectors (d,) of items in other spaces, by item. Reads the store."""
        return self._store.changes.extra_vectors(ids)

    async def encode(self, known: KnownItems) -> PreparedItems:
        """Encode what is new."""
        return await self._items.encode(known)

    async def upsert_items(
        self,
        prepared: PreparedItems,
        reply: Callable[[Upserted], R],
        call: RepeatableCall[R] | None = None,
    ) -> R:
        """Write items; `reply` is given what became of them.

        Refused is what the encoder made no vector of, and what would bring too many names of
        attributes. What is there unchanged is not written either.

        Raises Aborted when other writes come first again and again, and when the encoder changed
        and the items have vectors of the caller's own.
        """
        quota, count = Quota.current(), 0

        def counted(upserted: Upserted) -> R:
            nonlocal count
            count = upserted.added + upserted.changed
            return reply(upserted)

        for _ in range(ATTEMPTS):
            try:
                write = partial(self._upsert_and_reply, prepared, counted, quota.name)
                written = await self._once(call, write, quota)
                self._tell("items written", count, call)
                return written
            except _OvertakenError:
                bound = prepared.encoder
            except EncoderChanged:
                bound = await self._next_encoder(prepared.drafts)
            encoded = prepared.encoded() if bound == prepared.encoder else {}
            prepared = await self._prepared_anew(prepared.drafts, bound, encoded)
        raise Aborted("other writes to these items came first again and again")

    async def update_item(
        self,
        item_id: str,
        change: Change,
        reply: Callable[[StoredItem, int], R],
        call: RepeatableCall[R] | None = None,
    ) -> R:
        """Write what `change` makes of an item; `reply` gets it as it is then, and the revision.

        `change` is given the item, if it is there, the encoder, and the vectors (d,) that it has in
        other spaces. It is done anew when another write came first. Raises Aborted as upsert_items
        does, and why the encoder makes no vector of the item.
        """
        bound, quota = self.encoder, Quota.current()
        for _ in range(ATTEMPTS):
            read = partial(self._read_edit, item_id, change, bound)
            try:
                edit = await self._pools.elements(1, read)
            except _OvertakenError:
                continue
            try:
                prepared = await self._items.encode(edit.known)
                if item_id in prepared.refused:
                    raise prepared.refused[item_id].inside("item")
                write = partial(self._update_and_reply, prepared, edit.stored, reply, quota.name)
                written = await self._once(call, write, quota)
                self._tell("items written", 1, call)
                return written
            except (_OvertakenError, SpaceDeleted):
                # Of a space that is gone nothing is kept, and a vector that comes is wrong.
                continue
            except EncoderChanged:
                bound = await self._next_encoder([edit.draft])
        raise Aborted(f"other writes to the item {item_id!r} came first again and again")

    async def delete_items(
        self,
        ids: Collection[str],
        reply: Callable[[frozenset[str], int], R],
        call: RepeatableCall[R] | None = None,
    ) -> R:
        """Remove items; `reply` is given those that were there, and the revision."""
        removed = await self._once(call, lambda tx: reply(*self._store.items.remove(tx, ids)))
        self._tell("items deleted", len(ids), call)
        return removed

    async def decide_items(
        self,
        decision: NewDecision,
        ids: Collection[str],
        reply: Callable[[frozenset[str], int], R],
        call: RepeatableCall[R] | None = None,
    ) -> R:
        """Decide about items; `reply` is given those that are known, and the revision.

        Raises InvalidArgument when the decision would not count any more.
        """

        def write(tx: Transaction) -> R:
            # Not before it is known that this is no repetition of what was in time.
            if decision.expire_time is not None and decision.expire_time <= now():
                raise InvalidArgument(Violation("expire_time", "is not later than now"))
            return reply(*self._store.decisions.decide(tx, decision, ids))

        decided = await self._once(call, write)
        self._audit.tell(
            "items decided",
            count=len(ids),
            kind=decision.kind.name.lower(),
            author=decision.author,
            reason=decision.reason,
            request_id="" if call is None else call.request_id,
        )
        return decided

    async def write_interactions(self, events: Sequence[Interaction]) -> tuple[int, int]:
        """Record interactions; return how many were new, and the revision."""
        quota = Quota.current()

        def write(tx: Transaction) -> tuple[int, int]:
            written = self._store.interactions.write(tx, events)
            quota.count_events(tx, written[0])
            return written

        return await self._write(write, quota)

    async def write_impressions(self, shown: Sequence[Impression], made: int) -> tuple[int, int]:
        """Record impressions of a list that was made at a revision; return how many were new.

        The second is the revision of the write. None are of who was deleted since the list.
        """
        quota = Quota.current()

        def write(tx: Transaction) -> tuple[int, int]:
            written = self._store.impressions.write(tx, shown, made)
            quota.count_events(tx, written[0])
            return written

        return await self._write(write, quota)

    async def delete_user(self, user_id: str) -> tuple[Forgotten, Operation]:
        """Forget a person; return what was removed, and the operation that ends with no trace."""
        forgotten, erasure = await self._write(partial(self._delete_user, user_id))
        self._audit.tell(
            "person deleted",
            person=self._store.person_hash(user_id).hex(),
            interactions=forgotten.interactions,
            impressions=forgotten.impressions,
            revision=forgotten.revision,
            operation=erasure.id,
        )
        return forgotten, erasure

    def _tell(self, action: str, count: int, call: RepeatableCall[R] | None) -> None:
        self._audit.tell(action, count=count, request_id="" if call is None else call.request_id)

    async def _once(
        self,
        call: RepeatableCall[R] | None,
        write: Callable[[Transaction], R],
        quota: Quota = UNLIMITED,
    ) -> R:
        return await self._write(
            lambda tx: self._answered.once(tx, call, partial(write, tx)), quota
        )

    async def _write(self, write: Callable[[Transaction], R], quota: Quota = UNLIMITED) -> R:
        written = asyncio.wrap_future(self._commit.submit(partial(quota.within, write)))
        # Once begun a write is finished, even if its caller has gone and nobody asks how it went.
        written.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(written)

    def _delete_user(self, user_id: str, tx: Transaction) -> tuple[Forgotten, Operation]:
        forgotten = self._store.forget(tx, user_id)
        # One that has not begun erases whoever is deleted until then.
        return forgotten, self._store.operations.pending_or_new(tx, OperationKind.ERASE_USER_DATA)

    def _upsert_and_reply(
        self,
        prepared: PreparedItems,
        reply: Callable[[Upserted], R],
        owner: str,
        tx: Transaction,
    ) -> R:
        return reply(self._upsert(tx, prepared, owner))

    def _update_and_reply(
        self,
        prepared: PreparedItems,
        stored: StoredItem | None,
        reply: Callable[[StoredItem, int], R],
        owner: str,
        tx: Transaction,
    ) -> R:
        item_id = prepared.drafts[0].content.id
        read = {} if stored is None else {item_id: stored.revision}
        if self._store.items.revisions(tx, [item_id]) != read:
            raise _OvertakenError
        upserted = self._upsert(tx, prepared, owner)
        if item_id in upserted.refused:
            raise upserted.refused[item_id].inside("item")
        return reply(self._store.items.current(tx, [item_id])[item_id], upserted.revision)

    def _upsert(self, tx: Transaction, prepared: PreparedItems, owner: str) -> Upserted:
        """Write what is new, but for what would bring too many names."""
        unchanged = prepared.unchanged
        if unchanged and self._store.items.revisions(tx, list(unchanged)) != unchanged:
            raise _OvertakenError
        beyond = beyond_names(tx, prepared.new_items, self._attribute_names)
        admitted = [new for new in prepared.new_items if new.content.id not in beyond]
        added, revision = self._store.items.upsert(tx, admitted, prepared.encoder.id, owner)
        return Upserted(
            refused={**prepared.refused, **beyond},
            added=added,
            changed=len(admitted) - added,
            unchanged=len(unchanged),
            revision=revision,
        )

    def _read_edit(
        self,
        item_id: str,
        change: Change,
        bound: BoundEncoder,
    ) -> _ReadEdit:
        stored = self._store.items.get([item_id]).get(item_id)
        extra = self._store.changes.extra_vectors([item_id]).get(item_id, NO_VECTORS)
        edit = change(stored, bound, extra)
        draft = self._with_own_vector(edit.draft, bound) if edit.keeps_vector else edit.draft
        return _ReadEdit(stored, edit.draft, self._items.look_up([draft], bound))

    async def _prepared_anew(
        self, drafts: Sequence[ItemDraft], bound: BoundEncoder, encoded: Mapping[str, Vector]
    ) -> PreparedItems:
        look_up = partial(self._items.look_up, drafts, bound, encoded)
        return await self._items.encode(await self._pools.elements(len(drafts), look_up))

    def _with_own_vector(self, draft: ItemDraft, bound: BoundEncoder) -> ItemDraft:
        vectors = self._store.changes.vectors(bound.id, [draft.content.id])
        if draft.content.id not in vectors:
            # It was removed since it was read, or it has a vector of another encoder.
            raise _OvertakenError
        return replace(draft, vector=vectors[draft.content.id])

    async def _next_encoder(self, drafts: Sequence[ItemDraft]) -> BoundEncoder:
        """Return the encoder that the store has now; the view may not know of it yet."""
        if any(draft.vector is not None for draft in drafts):
            raise Aborted("the encoder has changed, and the vectors were made for the one before")
        bound = await self._pools.elements(1, self._store.encoders.current)
        return self.encoder if bound is None else bound
