"""ItemService: the catalogue over gRPC."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial

from google.rpc import status_pb2
from grpc.aio import ServicerContext
from longtail.runtime.errors import InvalidArgument, NotFound
from longtail.server.rpc.import_stream import patiently, write_in_order
from longtail.server.rpc.read.fields import (
    check_batch,
    check_id,
    check_page_size,
    check_unique,
    each,
)
from longtail.server.rpc.read.item import ItemDraft, item_draft
from longtail.server.rpc.read.item_update import VECTOR, item_mask, masked
from longtail.server.rpc.refusals import Refusals
from longtail.server.rpc.tokens.page import decode_token, encode_token
from longtail.server.rpc.write.item import item_message, pages
from longtail.server.store.items import ItemRecords
from longtail.server.store.records import BoundEncoder, StoredItem
from longtail.server.write.encoding import PreparedItems
from longtail.server.write.idempotency import repeatable_call
from longtail.server.write.writer import Catalogue, ItemEdit
from longtail.v1 import item_pb2, item_service_pb2_grpc
from longtail.v1 import item_service_pb2 as pb

DEFAULT_PAGE, MAX_PAGE, EXPORT_PAGE = 100, 1000, 500
# Batches of a stream that are encoded beside the one that is written: the workers always have one
# to compute and one that waits, and no stream takes more memory than these.
BATCHES_AHEAD = 4
LIST_ARGUMENTS = ("ListItems",)

Wrong = dict[int, InvalidArgument]


class ItemService(item_service_pb2_grpc.ItemServiceServicer):
    """Reads items from the store and writes them through the catalogue."""

    def __init__(self, records: ItemRecords, catalogue: Catalogue) -> None:
        self._records = records
        self._catalogue = catalogue

    async def GetItem(
        self,
        request: pb.GetItemRequest,
        context: ServicerContext[pb.GetItemRequest, pb.GetItemResponse],
    ) -> pb.GetItemResponse:
        """Return one item."""
        check_id("id", request.id)
        found = await asyncio.to_thread(self._records.get, [request.id])
        if not found:
            raise NotFound("item", request.id)
        return pb.GetItemResponse(item=item_message(found[request.id]))

    async def BatchGetItems(
        self,
        request: pb.BatchGetItemsRequest,
        context: ServicerContext[pb.BatchGetItemsRequest, pb.BatchGetItemsResponse],
    ) -> pb.BatchGetItemsResponse:
        """Return several items."""
        _check_ids(request.ids)
        return await asyncio.to_thread(self._several, list(dict.fromkeys(request.ids)))

    async def ListItems(
        self,
        request: pb.ListItemsRequest,
        context: ServicerContext[pb.ListItemsRequest, pb.ListItemsResponse],
    ) -> pb.ListItemsResponse:
        """Return a page of items."""
        size = check_page_size(request.page_size, default=DEFAULT_PAGE, limit=MAX_PAGE)
        after = decode_token(LIST_ARGUMENTS, request.page_token) if request.page_token else b""
        return await asyncio.to_thread(self._page, after.decode(), size)

    async def BatchUpsertItems(
        self,
        request: pb.BatchUpsertItemsRequest,
        context: ServicerContext[pb.BatchUpsertItemsRequest, pb.BatchUpsertItemsResponse],
    ) -> pb.BatchUpsertItemsResponse:
        """Write a batch of items."""
        call = repeatable_call(request, pb.BatchUpsertItemsResponse)
        answered = await self._catalogue.answered(call)
        if answered is not None:
            return answered
        wrong, prepared = await self._prepare(request.items)
        statuses = [
            wrong[position].status() if position in wrong else status_pb2.Status()
            for position in range(len(request.items))
        ]

        def reply(revision: int) -> pb.BatchUpsertItemsResponse:
            return pb.BatchUpsertItemsResponse(statuses=statuses, revision=revision)

        return await self._catalogue.upsert_items(prepared, reply, call)

    async def UpdateItem(
        self,
        request: pb.UpdateItemRequest,
        context: ServicerContext[pb.UpdateItemRequest, pb.UpdateItemResponse],
    ) -> pb.UpdateItemResponse:
        """Change fields of an item."""
        check_id("item.id", request.item.id)
        mask = item_mask("update_mask", request.update_mask.paths)
        call = repeatable_call(request, pb.UpdateItemResponse)
        answered = await self._catalogue.answered(call)
        if answered is not None:
            return answered

        def change(stored: StoredItem | None, bound: BoundEncoder) -> ItemEdit:
            if stored is None and not request.allow_missing:
                raise NotFound("item", request.item.id)
            present = item_pb2.Item(id=request.item.id) if stored is None else item_message(stored)
            keeps = stored is not None and stored.vector_given and VECTOR not in mask.fields
            item = masked(mask, request.item, present)
            try:
                draft = item_draft(item, bound.binding.dimension, keeps_vector=keeps)
            except InvalidArgument as error:
                raise InvalidArgument(*(v.inside("item") for v in error.violations)) from None
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
            wrong, prepared = await patiently(partial(self._prepare, request.items))
            return [item.id for item in request.items], wrong, prepared

        async def write(batch: tuple[list[str], Wrong, PreparedItems]) -> None:
            ids, wrong, prepared = batch
            upsert = partial(self._catalogue.upsert_items, prepared, int)
            answer.revision = await patiently(upsert)
            answer.imported_count += len(ids) - len(wrong)
            refusals.add(wrong, ids)

        await write_in_order(request_iterator, prepare, write, BATCHES_AHEAD)
        answer.refused_count = refusals.count
        answer.refusals.extend(refusals.first)
        return answer

    async def ExportItems(
        self,
        request: pb.ExportItemsRequest,
        context: ServicerContext[pb.ExportItemsRequest, pb.ExportItemsResponse],
    ) -> AsyncIterator[pb.ExportItemsResponse]:
        """Yield the catalogue; what is not taken is not read."""
        after = ""
        while page := await asyncio.to_thread(self._export_page, after):
            for items in page:
                yield pb.ExportItemsResponse(items=items)
            after = page[-1][-1].id

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

    async def _prepare(self, items: Sequence[item_pb2.Item]) -> tuple[Wrong, PreparedItems]:
        bound = self._catalogue.encoder
        # A thousand of them take long enough to be felt by others on the event loop.
        drafts, wrong = await asyncio.to_thread(_drafts, items, bound.binding.dimension)
        return wrong, await self._catalogue.prepare_items(drafts, bound)

    def _several(self, ids: Sequence[str]) -> pb.BatchGetItemsResponse:
        found = self._records.get(ids)
        return pb.BatchGetItemsResponse(
            items=[item_message(found[item_id]) for item_id in ids if item_id in found],
            missing_ids=[item_id for item_id in ids if item_id not in found],
        )

    def _page(self, after: str, size: int) -> pb.ListItemsResponse:
        # One more than the page tells whether there is another.
        found = self._records.list_page(after=after, limit=size + 1)
        items = next(pages(found[:size]), [])
        token = (
            encode_token(LIST_ARGUMENTS, items[-1].id.encode()) if len(items) < len(found) else ""
        )
        return pb.ListItemsResponse(items=items, next_page_token=token)

    def _export_page(self, after: str) -> list[list[item_pb2.Item]]:
        return list(pages(self._records.list_page(after=after, limit=EXPORT_PAGE)))


def _drafts(items: Sequence[item_pb2.Item], dimension: int) -> tuple[list[ItemDraft], Wrong]:
    check_batch("items", items)
    check_unique({f"items[{at}].id": item.id for at, item in enumerate(items)})
    return each("items", items, lambda item: item_draft(item, dimension))


def _check_ids(ids: Sequence[str]) -> None:
    check_batch("ids", ids)
    for position, item_id in enumerate(ids):
        check_id(f"ids[{position}]", item_id)
