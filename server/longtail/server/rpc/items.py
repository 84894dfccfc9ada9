"""ItemService: the catalogue over gRPC."""

import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from google.protobuf.message import Message
from google.rpc import status_pb2
from grpc.aio import ServicerContext
from longtail.runtime.errors import InvalidArgument, NotFound, ServiceError
from longtail.runtime.message_size import serialized
from longtail.server.process.pools import Pools
from longtail.server.rpc.import_stream import patiently, write_in_order
from longtail.server.rpc.read.fields import (
    check_batch,
    check_id,
    check_page_size,
    check_unique,
    each,
)
from longtail.server.rpc.read.item import item_draft
from longtail.server.rpc.read.item_update import (
    CONTENT,
    EXTRA_VECTORS,
    VECTOR,
    item_mask,
    masked,
)
from longtail.server.rpc.read.spaces import Spaces
from longtail.server.rpc.refusals import Refusals, statuses
from longtail.server.rpc.repeatable_call import repeatable_call
from longtail.server.rpc.tokens.page import decode_token, encode_token, foreign_token
from longtail.server.rpc.write.item import item_message, item_with_vectors, pages
from longtail.server.store.items import ItemRecords
from longtail.server.store.records import (
    NO_VECTORS,
    BoundEncoder,
    StoredItem,
    Vector,
    VectorSpace,
)
from longtail.server.write.encoding import KnownItems, PreparedItems
from longtail.server.write.idempotency import RepeatableCall
from longtail.server.write.item_draft import ItemDraft
from longtail.server.write.writer import Catalogue, ItemEdit, Upserted
from longtail.v1 import item_pb2, item_service_pb2_grpc
from longtail.v1 import item_service_pb2 as pb

DEFAULT_PAGE, MAX_PAGE, EXPORT_PAGE = 100, 1000, 500
# Batches of a stream that are encoded beside the one that is written: the workers always have one
# to compute and one that waits, and no stream takes more memory than these.
BATCHES_AHEAD = 4
LIST_ARGUMENTS = ("ListItems",)
# Of a page token: an id has up to 1,024 bytes.
MAX_TOKEN = 2000

M = TypeVar("M", bound=Message)
Wrong = Mapping[int, ServiceError]


@dataclass(frozen=True)
class _Batch:
    """What is known of the items of a batch that can be written, and what is wrong with others."""

    known: KnownItems
    wrong: Wrong


@dataclass(frozen=True)
class _RepeatableBatch:
    """A batch whose call was not answered before, and what is known of it."""

    call: RepeatableCall[pb.BatchUpsertItemsResponse] | None
    known: KnownItems
    wrong: Wrong


class ItemService(item_service_pb2_grpc.ItemServiceServicer):
    """Reads items from the store and writes them through the catalogue."""

    def __init__(self, records: ItemRecords, catalogue: Catalogue, pools: Pools) -> None:
        self._records = records
        self._pools = pools
        self._catalogue = catalogue

    async def GetItem(
        self,
        request: pb.GetItemRequest,
        context: ServicerContext[pb.GetItemRequest, pb.GetItemResponse],
    ) -> pb.GetItemResponse:
        """Return one item."""
        check_id("id", request.id)
        found = await self._pools.elements(1, partial(self._records.get, [request.id]))
        if not found:
            raise NotFound("item", request.id)
        return pb.GetItemResponse(item=item_message(found[request.id]))

    async def BatchGetItems(
        self,
        request: pb.BatchGetItemsRequest,
        context: ServicerContext[pb.BatchGetItemsRequest, pb.BatchGetItemsResponse],
    ) -> bytes:
        """Return several items."""
        _check_ids(request.ids)
        ids = list(dict.fromkeys(request.ids))
        return await self._pools.elements(len(ids), partial(self._several, ids))

    async def ListItems(
        self,
        request: pb.ListItemsRequest,
        context: ServicerContext[pb.ListItemsRequest, pb.ListItemsResponse],
    ) -> bytes:
        """Return a page of items."""
        size = check_page_size(request.page_size, default=DEFAULT_PAGE, limit=MAX_PAGE)
        after = _last_id(request.page_token) if request.page_token else ""
        return await self._pools.administration(partial(self._page, after, size))

    async def BatchUpsertItems(
        self,
        request: pb.BatchUpsertItemsRequest,
        context: ServicerContext[pb.BatchUpsertItemsRequest, pb.BatchUpsertItemsResponse],
    ) -> pb.BatchUpsertItemsResponse:
        """Write a batch of items."""
        check_batch("items", request.items)

        def read() -> pb.BatchUpsertItemsResponse | _RepeatableBatch:
            call = repeatable_call(request, pb.BatchUpsertItemsResponse)
            answered = self._catalogue.answered(call)
            if answered is not None:
                return answered
            batch = self._read(request.items)
            return _RepeatableBatch(call, batch.known, batch.wrong)

        batch = await self._pools.elements(len(request.items), read)
        if isinstance(batch, pb.BatchUpsertItemsResponse):
            return batch
        wrong, call = batch.wrong, batch.call
        ids = [item.id for item in request.items]

        def reply(upserted: Upserted) -> pb.BatchUpsertItemsResponse:
            return pb.BatchUpsertItemsResponse(
                statuses=statuses(len(ids), {**wrong, **_placed(upserted.refused, ids)}),
                revision=upserted.revision,
                added_count=upserted.added,
                changed_count=upserted.changed,
                unchanged_count=upserted.unchanged,
            )

        prepared = await self._catalogue.encode(batch.known)
        return await self._catalogue.upsert_items(prepared, reply, call)

    async def UpdateItem(
        self,
        request: pb.UpdateItemRequest,
        context: ServicerContext[pb.UpdateItemRequest, pb.UpdateItemResponse],
    ) -> pb.UpdateItemResponse:
        """Change fields of an item."""
        check_id("item.id", request.item.id)
        mask = item_mask("update_mask", request.update_mask.paths)
        call, answered = await self._repeated(request, pb.UpdateItemResponse)
        if answered is not None:
            return answered

        def change(
            stored: StoredItem | None, bound: BoundEncoder, extra: Mapping[VectorSpace, Vector]
        ) -> ItemEdit:
            if stored is None and not request.allow_missing:
                raise NotFound("item", request.item.id)
            present = item_pb2.Item(id=request.item.id) if stored is None else item_message(stored)
            keeps = stored is not None and stored.vector_given and VECTOR not in mask.fields
            item = masked(mask, request.item, present)
            try:
                draft = item_draft(
                    item,
                    bound.binding.dimension,
                    self._spaces([item]),
                    # An item may have lost what it was found by, with a vector space.
                    needs_content=not keeps and (stored is None or bool(mask.fields & CONTENT)),
                    kept=NO_VECTORS if EXTRA_VECTORS in mask.fields else extra,
                )
            except InvalidArgument as error:
                raise error.inside("item") from None
            return ItemEdit(draft, keeps)

        def reply(stored: StoredItem, revision: int) -> pb.UpdateItemResponse:
            return pb.UpdateItemResponse(item=item_message(stored), revision=revision)

        return await self._catalogue.update_item(request.item.id, change, reply, call)

    async def ImportItems(
        self,
        request_iterator: AsyncIterator[pb.ImportItemsRequest],
        context: ServicerContext[pb.ImportItemsRequest, pb.ImportItemsResponse],
    ) -> pb.ImportItemsResponse:
        """Write a stream of batches."""
        answer = pb.ImportItemsResponse()
        refusals = Refusals()

        async def prepare(
            request: pb.ImportItemsRequest,
        ) -> tuple[list[str], Wrong, PreparedItems]:
            batch = await self._pools.bulk(partial(self._read, request.items))
            prepared = await patiently(partial(self._catalogue.encode, batch.known))
            return [item.id for item in request.items], batch.wrong, prepared

        async def write(batch: tuple[list[str], Wrong, PreparedItems]) -> None:
            ids, wrong, prepared = batch
            upsert = partial(self._catalogue.upsert_items, prepared, _as_it_is)
            upserted = await patiently(upsert)
            wrong = {**wrong, **_placed(upserted.refused, ids)}
            answer.imported_count += len(ids) - len(wrong)
            answer.added_count += upserted.added
            answer.changed_count += upserted.changed
            answer.unchanged_count += upserted.unchanged
            answer.revision = upserted.revision
            refusals.add(wrong, ids)

        await write_in_order(request_iterator, prepare, write, BATCHES_AHEAD)
        answer.refused_count = refusals.count
        answer.refusals.extend(refusals.first)
        return answer

    async def ExportItems(
        self,
        request: pb.ExportItemsRequest,
        context: ServicerContext[pb.ExportItemsRequest, pb.ExportItemsResponse],
    ) -> AsyncIterator[bytes]:
        """Yield the catalogue; what is not taken is not read."""
        after = ""
        while True:
            answers, after = await self._pools.bulk(partial(self._export, after))
            for answer in answers:
                yield answer
            if not answers:
                return

    async def DeleteItem(
        self,
        request: pb.DeleteItemRequest,
        context: ServicerContext[pb.DeleteItemRequest, pb.DeleteItemResponse],
    ) -> pb.DeleteItemResponse:
        """Remove one item."""
        check_id("id", request.id)

        def reply(removed: frozenset[str], revision: int) -> pb.DeleteItemResponse:
            if request.id not in removed:
                raise NotFound("item", request.id)
            return pb.DeleteItemResponse(revision=revision)

        call = repeatable_call(request, pb.DeleteItemResponse)
        return await self._catalogue.delete_items([request.id], reply, call)

    async def BatchDeleteItems(
        self,
        request: pb.BatchDeleteItemsRequest,
        context: ServicerContext[pb.BatchDeleteItemsRequest, pb.BatchDeleteItemsResponse],
    ) -> pb.BatchDeleteItemsResponse:
        """Remove several items."""
        _check_ids(request.ids)
        check_unique({f"ids[{at}]": item_id for at, item_id in enumerate(request.ids)})

        def reply(removed: frozenset[str], revision: int) -> pb.BatchDeleteItemsResponse:
            statuses = [
                status_pb2.Status() if item_id in removed else NotFound("item", item_id).status()
                for item_id in request.ids
            ]
            return pb.BatchDeleteItemsResponse(statuses=statuses, revision=revision)

        call = repeatable_call(request, pb.BatchDeleteItemsResponse)
        return await self._catalogue.delete_items(request.ids, reply, call)

    async def _repeated(
        self, request: Message, reply: type[M]
    ) -> tuple[RepeatableCall[M] | None, M | None]:
        """Return what tells a call from any other, and the answer that it had before, if any."""
        call = repeatable_call(request, reply)
        if call is None:
            return None, None
        return call, await self._pools.elements(1, partial(self._catalogue.answered, call))

    def _read(self, items: Sequence[item_pb2.Item]) -> _Batch:
        bound = self._catalogue.encoder
        drafts, wrong = _drafts(items, bound.binding.dimension, self._spaces(items))
        return _Batch(self._catalogue.look_up(drafts, bound), wrong)

    def _spaces(self, items: Sequence[item_pb2.Item]) -> Spaces:
        """Return the vector spaces, if any of `items` has a vector in one."""
        return self._catalogue.spaces() if any(item.extra_vectors for item in items) else {}

    def _several(self, ids: Sequence[str]) -> bytes:
        found = self._records.get(ids)
        missing = [item_id for item_id in ids if item_id not in found]
        items = (found[item_id] for item_id in ids if item_id in found)
        pieces = (pb.BatchGetItemsResponse(items=[item_message(item)]) for item in items)
        return serialized(itertools.chain(pieces, [pb.BatchGetItemsResponse(missing_ids=missing)]))

    def _page(self, after: str, size: int) -> bytes:
        # One more than the page tells whether there is another.
        found = self._records.list_page(after=after, limit=size + 1)
        items = next(pages(map(item_message, found[:size])), [])
        token = (
            encode_token(LIST_ARGUMENTS, items[-1].id.encode()) if len(items) < len(found) else ""
        )
        pieces = (pb.ListItemsResponse(items=[item]) for item in items)
        return serialized(itertools.chain(pieces, [pb.ListItemsResponse(next_page_token=token)]))

    def _export(self, after: str) -> tuple[list[bytes], str]:
        """Return answers with the items after `after`, and where the ones after them begin."""
        items = self._records.list_page(after=after, limit=EXPORT_PAGE)
        own = self._catalogue.given_vectors(items)
        extra = self._catalogue.extra_vectors([item.content.id for item in items])
        messages = (
            item_with_vectors(
                item, own.get(item.content.id), extra.get(item.content.id, NO_VECTORS)
            )
            for item in items
        )
        answers = [
            serialized(pb.ExportItemsResponse(items=[message]) for message in page)
            for page in pages(messages)
        ]
        return answers, items[-1].content.id if items else after


def _last_id(token: str) -> str:
    if len(token) > MAX_TOKEN:
        raise foreign_token()
    # The check in a token tells mistakes, not malice: what it holds may be anybody's.
    try:
        return decode_token(LIST_ARGUMENTS, token).decode()
    except UnicodeDecodeError:
        raise foreign_token() from None


def _as_it_is(upserted: Upserted) -> Upserted:
    return upserted


def _placed(refused: Mapping[str, ServiceError], ids: Sequence[str]) -> Wrong:
    """Return what was refused by its position among `ids`, none of which comes twice."""
    return {
        at: refused[item_id].inside(f"items[{at}]")
        for at, item_id in enumerate(ids)
        if item_id in refused
    }


def _drafts(
    items: Sequence[item_pb2.Item], dimension: int, spaces: Spaces
) -> tuple[list[ItemDraft], Wrong]:
    check_batch("items", items)
    check_unique({f"items[{at}].id": item.id for at, item in enumerate(items)})
    return each("items", items, lambda item: item_draft(item, dimension, spaces))


def _check_ids(ids: Sequence[str]) -> None:
    check_batch("ids", ids)
    for position, item_id in enumerate(ids):
        check_id(f"ids[{position}]", item_id)
