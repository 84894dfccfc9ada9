"""The calls of ItemService: see `recommendations`.

A write that is given no `request_id` gets one of its own. gRPC repeats a call below these
functions, with the same bytes, so that the server knows a repetition for one.
"""

import uuid
from collections.abc import Iterable

from google.protobuf.field_mask_pb2 import FieldMask
from longtail.client.calls.built import built
from longtail.client.calls.call import (
    STREAM_SECONDS,
    Call,
    ClientStreamCall,
    Outgoing,
    PagedCall,
    ServerStreamCall,
    batches,
    size_of,
)
from longtail.v1.item_pb2 import Item
from longtail.v1.item_service_pb2 import (
    BatchDeleteItemsRequest,
    BatchDeleteItemsResponse,
    BatchGetItemsRequest,
    BatchGetItemsResponse,
    BatchUpsertItemsRequest,
    BatchUpsertItemsResponse,
    DeleteItemRequest,
    DeleteItemResponse,
    ExportItemsRequest,
    ExportItemsResponse,
    GetItemRequest,
    GetItemResponse,
    ImportItemsRequest,
    ImportItemsResponse,
    ListItemsRequest,
    ListItemsResponse,
    UpdateItemRequest,
    UpdateItemResponse,
)


def get_item(
    item_id: str, *, timeout: float | None = None
) -> Call[GetItemRequest, GetItemResponse]:
    """Return one item; NOT_FOUND when there is none of that id."""
    return Call(built(GetItemRequest, id=item_id), GetItemResponse, timeout)


def get_items(
    ids: Iterable[str], *, timeout: float | None = None
) -> Call[BatchGetItemsRequest, BatchGetItemsResponse]:
    """Return 1 to 1,000 items; those that do not exist are in `missing_ids`."""
    return Call(built(BatchGetItemsRequest, ids=ids), BatchGetItemsResponse, timeout)


def list_items(
    *, page_size: int = 0, timeout: float | None = None
) -> PagedCall[ListItemsRequest, ListItemsResponse, Item]:
    """Yield every item in the order of the ids; `timeout` seconds are for each page."""
    first = Call(built(ListItemsRequest, page_size=page_size), ListItemsResponse, timeout)
    return PagedCall(first, lambda page: page.items)


def export_items(
    *, timeout: float = STREAM_SECONDS
) -> ServerStreamCall[ExportItemsRequest, ExportItemsResponse, Item]:
    """Yield the whole catalogue in the order of ids; `timeout` seconds are for all of it."""
    return ServerStreamCall(
        ExportItemsRequest(), ExportItemsResponse, lambda part: part.items, timeout
    )


def upsert_items(
    items: Iterable[Item], *, request_id: str = "", timeout: float | None = None
) -> Call[BatchUpsertItemsRequest, BatchUpsertItemsResponse]:
    """Write 1 to 1,000 items; read each one's status with `error_from_status`.

    For a day, another call with the same `request_id` and items writes nothing and gets the first
    one's answer.
    """
    return Call(
        built(BatchUpsertItemsRequest, items=items, request_id=request_id or _new_request_id()),
        BatchUpsertItemsResponse,
        timeout,
    )


def update_item(
    item: Item,
    fields: Iterable[str],
    *,
    allow_missing: bool = False,
    request_id: str = "",
    timeout: float | None = None,
) -> Call[UpdateItemRequest, UpdateItemResponse]:
    """Change the named fields of the item `item.id` to what they are in `item`, and no others.

    A field is one of Item's, such as `"title"`, or one attribute, such as `"attributes.year"`; one
    that `item` does not have is cleared. NOT_FOUND when there is no such item, unless
    `allow_missing`, which then writes it.
    """
    return Call(
        UpdateItemRequest(
            item=item,
            update_mask=FieldMask(paths=fields),
            allow_missing=allow_missing,
            request_id=request_id or _new_request_id(),
        ),
        UpdateItemResponse,
        timeout,
    )


def import_items(
    items: Iterable[Item], *, timeout: float = STREAM_SECONDS
) -> ClientStreamCall[ImportItemsRequest, ImportItemsResponse]:
    """Write any number of items as one stream; what was sent before a break stays written."""
    return ClientStreamCall(
        ImportItemsRequest,
        Outgoing(built(ImportItemsRequest, items=batch) for batch in batches(items, size_of)),
        ImportItemsResponse,
        timeout,
    )


def delete_item(
    item_id: str, *, request_id: str = "", timeout: float | None = None
) -> Call[DeleteItemRequest, DeleteItemResponse]:
    """Remove one item; NOT_FOUND when there is none of that id."""
    return Call(
        built(DeleteItemRequest, id=item_id, request_id=request_id or _new_request_id()),
        DeleteItemResponse,
        timeout,
    )


def delete_items(
    ids: Iterable[str], *, request_id: str = "", timeout: float | None = None
) -> Call[BatchDeleteItemsRequest, BatchDeleteItemsResponse]:
    """Remove 1 to 1,000 items at once; the status of one that does not exist is NOT_FOUND."""
    return Call(
        built(BatchDeleteItemsRequest, ids=ids, request_id=request_id or _new_request_id()),
        BatchDeleteItemsResponse,
        timeout,
    )


def _new_request_id() -> str:
    return str(uuid.uuid4())
