"""ItemService: the catalogue over gRPC."""

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator, Sequence

from google.rpc import status_pb2
from grpc.aio import ServicerContext
from longtail.v1 import item_pb2, item_service_pb2_grpc
from longtail.v1 import item_service_pb2 as pb

from runtime.errors import InvalidArgument, NotFound, Violation
from server.catalogue import Catalogue
from server.services.refusals import Refusals
from server.services.replies import item_message
from server.store.items import ItemRecords
from server.validation import check_batch, check_id, check_page_size, each, item_draft

DEFAULT_PAGE, MAX_PAGE = 100, 1000


class ItemService(item_service_pb2_grpc.ItemServiceServicer):
    """Reads items from the store and writes them through the catalogue."""

    def __init__(self, records: ItemRecords, catalogue: Catalogue, dimension: int) -> None:
        self._records = records
        self._catalogue = catalogue
        self._dimension = dimension

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

    async def ListItems(
        self,
        request: pb.ListItemsRequest,
        context: ServicerContext[pb.ListItemsRequest, pb.ListItemsResponse],
    ) -> pb.ListItemsResponse:
        """Return a page of items."""
        size = check_page_size(request.page_size, default=DEFAULT_PAGE, limit=MAX_PAGE)
        after = _decode_token(request.page_token)
        # One more than the page tells whether there is another.
        found = await asyncio.to_thread(self._records.list_page, after=after, limit=size + 1)
        page = found[:size]
        more = len(found) > size
        return pb.ListItemsResponse(
            items=map(item_message, page),
            next_page_token=_encode_token(page[-1].content.id) if more else "",
        )

    async def BatchUpsertItems(
        self,
        request: pb.BatchUpsertItemsRequest,
        context: ServicerContext[pb.BatchUpsertItemsRequest, pb.BatchUpsertItemsResponse],
    ) -> pb.BatchUpsertItemsResponse:
        """Write a batch of items."""
        wrong, revision = await self._upsert(request.items)
        statuses = [
            wrong[position].status() if position in wrong else status_pb2.Status()
            for position in range(len(request.items))
        ]
        return pb.BatchUpsertItemsResponse(statuses=statuses, revision=revision)

    async def ImportItems(
        self,
        request_iterator: AsyncIterator[pb.ImportItemsRequest],
        context: ServicerContext[pb.ImportItemsRequest, pb.ImportItemsResponse],
    ) -> pb.ImportItemsResponse:
        """Write a stream of batches."""
        refusals = Refusals()
        imported = revision = 0
        async for request in request_iterator:
            wrong, revision = await self._upsert(request.items)
            imported += len(request.items) - len(wrong)
            refusals.add(wrong, [item.id for item in request.items])
        return pb.ImportItemsResponse(
            imported_count=imported,
            refused_count=refusals.count,
            refusals=refusals.first,
            revision=revision,
        )

    async def DeleteItem(
        self,
        request: pb.DeleteItemRequest,
        context: ServicerContext[pb.DeleteItemRequest, pb.DeleteItemResponse],
    ) -> pb.DeleteItemResponse:
        """Remove one item."""
        check_id("id", request.id)
        return pb.DeleteItemResponse(revision=await self._catalogue.delete_item(request.id))

    async def _upsert(
        self, items: Sequence[item_pb2.Item]
    ) -> tuple[dict[int, InvalidArgument], int]:
        check_batch("items", items)
        _check_unique(items)
        # A thousand of them take long enough to be felt by others on the event loop.
        drafts, wrong = await asyncio.to_thread(
            each, "items", items, lambda item: item_draft(item, self._dimension)
        )
        return wrong, await self._catalogue.upsert_items(drafts)


def _check_unique(items: Sequence[item_pb2.Item]) -> None:
    first: dict[str, int] = {}
    for position, item in enumerate(items):
        if first.setdefault(item.id, position) != position and item.id:
            raise InvalidArgument(
                Violation(f"items[{position}].id", f"is that of items[{first[item.id]}] too")
            )


def _encode_token(last_id: str) -> str:
    return base64.urlsafe_b64encode(last_id.encode()).decode()


def _decode_token(token: str) -> str:
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise InvalidArgument(
            Violation("page_token", "is none that this server gave out")
        ) from None
