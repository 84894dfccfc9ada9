"""The vectors of items that are to be written: kept where the text stays, encoded where not."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from longtail.runtime.errors import ServiceError
from longtail.server.process.pools import FEW
from longtail.server.store.record_store import RecordStore
from longtail.server.store.records import (
    NO_VECTORS,
    BoundEncoder,
    EncoderBinding,
    ItemContent,
    NewItem,
    StoredItem,
    Vector,
    VectorSpace,
)
from longtail.server.write.item_draft import ItemDraft
from longtail.v1 import embedding_service_pb2 as pb

# `longtail.server.encoder.encoder.Encoder.embed`.
Embed = Callable[
    [Sequence[str], pb.Role, pb.Lane, EncoderBinding], Awaitable[Sequence[Vector | ServiceError]]
]


@dataclass(frozen=True)
class KnownItems:
    """Drafts, and what the store has of them, by item.

    `unchanged` are the revisions of those that were found as they are drafted, and `vectors` those
    that `encoder` made of the same texts.
    """

    drafts: Sequence[ItemDraft]
    encoder: BoundEncoder
    unchanged: Mapping[str, int]
    vectors: Mapping[str, Vector]


@dataclass(frozen=True)
class PreparedItems:
    """Drafts that are ready to be written: what is new of them, with vectors of `encoder`.

    `refused` says of which it could make none, and why: these are not written.
    """

    drafts: Sequence[ItemDraft]
    encoder: BoundEncoder
    new_items: Sequence[NewItem]
    unchanged: Mapping[str, int]
    refused: Mapping[str, ServiceError]

    def encoded(self) -> dict[str, Vector]:
        """Return the vectors of the drafts' texts, by item."""
        return {
            new.content.id: new.vector
            for new in self.new_items
            if new.vector is not None and not new.vector_given
        }


class ItemEncoder:
    """Finds out what of a batch is new, and encodes that."""

    def __init__(self, store: RecordStore, embed: Embed) -> None:
        self._store = store
        self._embed = embed

    async def encode(self, known: KnownItems) -> PreparedItems:
        """Return the drafts with their vectors, those that are known not encoded again.

        One that the encoder makes no vector of holds back none of the others.
        """
        vectors, refused = dict(known.vectors), dict[str, ServiceError]()
        new = [draft for draft in known.drafts if draft.content.id not in known.unchanged]
        wanted = [
            draft.content
            for draft in new
            if draft.to_be_encoded and draft.content.id not in vectors
        ]
        if wanted:
            texts = [text_to_encode(content.title, content.text) for content in wanted]
            lane = pb.LANE_INTERACTIVE if len(texts) <= FEW else pb.LANE_BULK
            embedded = await self._embed(texts, pb.ROLE_ITEM, lane, known.encoder.binding)
            for content, each in zip(wanted, embedded, strict=True):
                if isinstance(each, ServiceError):
                    refused[content.id] = each
                else:
                    vectors[content.id] = each
        new_items = [
            NewItem(
                draft.content,
                vectors[draft.content.id] if draft.to_be_encoded else draft.vector,
                vector_given=draft.vector is not None,
                extra_vectors=draft.extra_vectors,
            )
            for draft in new
            if draft.content.id not in refused
        ]
        return PreparedItems(known.drafts, known.encoder, new_items, known.unchanged, refused)

    def look_up(
        self,
        drafts: Sequence[ItemDraft],
        bound: BoundEncoder,
        encoded: Mapping[str, Vector] | None = None,
    ) -> KnownItems:
        """Return what is known of `drafts`, with the vectors that were `encoded` just now."""
        stored = self._store.items.get([draft.content.id for draft in drafts])
        alike = [draft for draft in drafts if _alike(draft, stored.get(draft.content.id))]
        extra = self._store.changes.extra_vectors([draft.content.id for draft in alike])
        alike = [
            draft
            for draft in alike
            if _same_vectors(draft.extra_vectors, extra.get(draft.content.id, NO_VECTORS))
        ]
        given = [draft.content.id for draft in alike if draft.vector is not None]
        held = self._store.changes.vectors(bound.id, given) if given else {}
        # What this encoder made nothing of is tried again.
        encoded_before = self._store.items.with_vector(
            [draft.content.id for draft in alike if draft.to_be_encoded], bound.id
        )
        unchanged = {
            draft.content.id: stored[draft.content.id].revision
            for draft in alike
            if draft.content.id in encoded_before
            or not (draft.to_be_encoded or draft.vector is not None)
            or (draft.vector is not None and _equal(draft.vector, held.get(draft.content.id)))
        }
        touched = {
            draft.content.id: draft.content
            for draft in drafts
            if draft.to_be_encoded
            and draft.content.id in stored
            and draft.content.id not in unchanged
        }
        texts = self._store.items.encoded_texts(list(touched), bound.id) if touched else {}
        vectors = {
            item_id: text.vector
            for item_id, text in texts.items()
            if (text.title, text.text) == (touched[item_id].title, touched[item_id].text)
        }
        return KnownItems(drafts, bound, unchanged, vectors | dict(encoded or {}))


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


def _same_vectors(one: Mapping[VectorSpace, Vector], other: Mapping[VectorSpace, Vector]) -> bool:
    return one.keys() == other.keys() and all(
        _equal(vector, other[space]) for space, vector in one.items()
    )


def _equal(one: Vector, other: Vector | None) -> bool:
    return other is not None and np.array_equal(one, other)
