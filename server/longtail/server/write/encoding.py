"""The vectors of items that are to be written: kept where the text stays, encoded where not."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from longtail.server.rpc.read.item import ItemDraft
from longtail.server.store.record_store import RecordStore
from longtail.server.store.records import (
    BoundEncoder,
    EncoderBinding,
    ItemContent,
    NewItem,
    StoredItem,
    Vector,
)
from longtail.v1 import embedding_service_pb2 as pb
from numpy.typing import NDArray

# `longtail.server.encoder.encoder.Encoder.embed`.
Embed = Callable[[Sequence[str], pb.Role, pb.Lane, EncoderBinding], Awaitable[NDArray[np.float32]]]

# Somebody waits for an edit; a batch of more items comes from a program, which can.
EDITED_ITEMS = 4


@dataclass(frozen=True)
class PreparedItems:
    """Drafts that are ready to be written: what is new of them, with vectors of `encoder`.

    `unchanged` are the revisions of those items that were found as they are drafted.
    """

    drafts: Sequence[ItemDraft]
    encoder: BoundEncoder
    new_items: Sequence[NewItem]
    unchanged: Mapping[str, int]

    def encoded(self) -> dict[str, Vector]:
        """Return the vectors of the drafts' texts, by item."""
        return {new.content.id: new.vector for new in self.new_items if not new.vector_given}


class ItemEncoder:
    """Finds out what of a batch is new, and encodes that."""

    def __init__(self, store: RecordStore, embed: Embed) -> None:
        self._store = store
        self._embed = embed

    async def prepare(
        self,
        drafts: Sequence[ItemDraft],
        bound: BoundEncoder,
        encoded: Mapping[str, Vector] | None = None,
    ) -> PreparedItems:
        """Return `drafts` with their vectors, those `encoded` before not encoded again."""
        unchanged, vectors = await asyncio.to_thread(self._known, drafts, bound)
        vectors = {**vectors, **(encoded or {})}
        new = [draft for draft in drafts if draft.content.id not in unchanged]
        wanted = [
            draft.content
            for draft in new
            if draft.vector is None and draft.content.id not in vectors
        ]
        if wanted:
            texts = [text_to_encode(content.title, content.text) for content in wanted]
            lane = pb.LANE_INTERACTIVE if len(texts) <= EDITED_ITEMS else pb.LANE_BULK
            rows = await self._embed(texts, pb.ROLE_ITEM, lane, bound.binding)
            vectors |= {content.id: row for content, row in zip(wanted, rows, strict=True)}
        new_items = [
            NewItem(
                draft.content,
                vectors[draft.content.id] if draft.vector is None else draft.vector,
                vector_given=draft.vector is not None,
            )
            for draft in new
        ]
        return PreparedItems(drafts, bound, new_items, unchanged)

    def _known(
        self, drafts: Sequence[ItemDraft], bound: BoundEncoder
    ) -> tuple[dict[str, int], dict[str, Vector]]:
        """Return the revisions of unchanged items, and the vectors of unchanged texts."""
        stored = self._store.items.get([draft.content.id for draft in drafts])
        alike = [draft for draft in drafts if _alike(draft, stored.get(draft.content.id))]
        given = [draft.content.id for draft in alike if draft.vector is not None]
        held = self._store.changes.vectors(bound.id, given) if given else {}
        unchanged = {
            draft.content.id: stored[draft.content.id].revision
            for draft in alike
            if draft.vector is None or _equal(draft.vector, held.get(draft.content.id))
        }
        touched = {
            draft.content.id: draft.content
            for draft in drafts
            if draft.vector is None
            and draft.content.id in stored
            and draft.content.id not in unchanged
        }
        if not touched:
            return unchanged, {}
        texts = self._store.items.encoded_texts(list(touched), bound.id)
        vectors = {
            item_id: text.vector
            for item_id, text in texts.items()
            if (text.title, text.text) == (touched[item_id].title, touched[item_id].text)
        }
        return unchanged, vectors


def text_to_encode(title: str, text: str) -> str:
    """Return the text that stands for an item."""
    return ". ".join(part for part in (title.strip(), text.strip()) if part)


def _alike(draft: ItemDraft, stored: StoredItem | None) -> bool:
    return (
        stored is not None
        and stored.vector_given == (draft.vector is not None)
        and _same_content(draft.content, stored.content)
    )


def _same_content(one: ItemContent, other: ItemContent) -> bool:
    # To Python true equals 1; as JSON they are two things.
    return one == other and _json(one) == _json(other)


def _json(content: ItemContent) -> str:
    return json.dumps(content.attributes, sort_keys=True) if content.attributes else ""


def _equal(one: Vector, other: Vector | None) -> bool:
    return other is not None and np.array_equal(one, other)
