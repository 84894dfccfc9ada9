"""The calls that a client can make, each as a pure function from plain arguments to a `Call`.

The sync and the asyncio client are made from these functions, so the surface, its types and its
documentation are written once.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Concatenate, Literal, ParamSpec, TypeVar

from longtail.client.call import Call, StreamCall
from longtail.v1.admin_service_pb2 import GetServerInfoRequest, GetServerInfoResponse
from longtail.v1.insight_service_pb2 import GetCatalogStatsRequest, GetCatalogStatsResponse
from longtail.v1.interaction_service_pb2 import (
    DeleteUserDataRequest,
    DeleteUserDataResponse,
    ImportInteractionsRequest,
    ImportInteractionsResponse,
    Interaction,
    WriteInteractionsRequest,
    WriteInteractionsResponse,
)
from longtail.v1.item_pb2 import Item
from longtail.v1.item_service_pb2 import (
    BatchUpsertItemsRequest,
    BatchUpsertItemsResponse,
    DeleteItemRequest,
    DeleteItemResponse,
    GetItemRequest,
    GetItemResponse,
    ImportItemsRequest,
    ImportItemsResponse,
    ListItemsRequest,
    ListItemsResponse,
)
from longtail.v1.recommendation_service_pb2 import (
    Example,
    Exclusions,
    ExplainItemRequest,
    ExplainItemResponse,
    LongTail,
    RecommendRequest,
    RecommendResponse,
)

Element = TypeVar("Element")
P = ParamSpec("P")

Explain = Literal["none", "reasons", "full"]

IMPORT_SECONDS = 600.0
IMPORT_BATCH = 256


def recommend(
    query: str = "",
    *,
    user_id: str = "",
    examples: Iterable[Example] = (),
    page_size: int = 0,
    strength: float | None = None,
    min_tail_fraction: float | None = None,
    relevance_budget: float | None = None,
    exclude: Iterable[str] = (),
    seen_types: Iterable[str] = (),
    allow_seen: bool = False,
    explain: Explain = "full",
    min_revision: int = 0,
    allow_degraded: bool = False,
    include_items: bool = False,
    timeout: float | None = None,
) -> Call[RecommendRequest, RecommendResponse]:
    """Recommend items for a query, a person, examples, or any mixture of them.

    `strength` (0 to 1) is how much place the long tail gets, `min_tail_fraction` (0 to 1) its least
    share of the list, `relevance_budget` (0 to 1) the largest share of relevance the list may lose;
    None leaves each to the server. `exclude` are item ids. `min_revision` reads your own writes.
    """
    long_tail = LongTail(
        strength=strength, min_tail_fraction=min_tail_fraction, relevance_budget=relevance_budget
    )
    exclusions = Exclusions(item_ids=exclude, seen_types=seen_types, allow_seen=allow_seen)
    request = RecommendRequest(
        query=query,
        user_id=user_id,
        examples=examples,
        page_size=page_size,
        exclude=exclusions,
        long_tail=long_tail,
        explain=f"EXPLAIN_{explain.upper()}",
        min_revision=min_revision,
        allow_degraded=allow_degraded,
        include_items=include_items,
    )
    return Call(
        "/longtail.v1.RecommendationService/Recommend",
        request,
        RecommendResponse,
        timeout,
    )


def _about_item(
    build: Callable[
        P,
        Call[
            RecommendRequest,
            RecommendResponse,
        ],
    ],
) -> Callable[
    Concatenate[str, P],
    Call[
        ExplainItemRequest,
        ExplainItemResponse,
    ],
]:
    def explain_item(
        item_id: str, /, *args: P.args, **kwargs: P.kwargs
    ) -> Call[
        ExplainItemRequest,
        ExplainItemResponse,
    ]:
        """Say why an item is, or is not, in the list that `recommend` gives for the same rest."""
        call = build(*args, **kwargs)
        return Call(
            "/longtail.v1.RecommendationService/ExplainItem",
            ExplainItemRequest(request=call.request, item_id=item_id),
            ExplainItemResponse,
            call.timeout,
        )

    return explain_item


explain_item = _about_item(recommend)


def get_item(
    item_id: str, *, timeout: float | None = None
) -> Call[GetItemRequest, GetItemResponse]:
    """Return one item; NOT_FOUND when there is none of that id."""
    request = GetItemRequest(id=item_id)
    return Call("/longtail.v1.ItemService/GetItem", request, GetItemResponse, timeout)


def list_page(
    *, page_size: int = 0, page_token: str = "", timeout: float | None = None
) -> Call[ListItemsRequest, ListItemsResponse]:
    """Return one page of items in the order of their ids."""
    request = ListItemsRequest(page_size=page_size, page_token=page_token)
    return Call("/longtail.v1.ItemService/ListItems", request, ListItemsResponse, timeout)


def upsert_items(
    items: Iterable[Item], *, timeout: float | None = None
) -> Call[BatchUpsertItemsRequest, BatchUpsertItemsResponse]:
    """Write 1 to 1,000 items; read each one's status with `error_from_status`."""
    return Call(
        "/longtail.v1.ItemService/BatchUpsertItems",
        BatchUpsertItemsRequest(items=items),
        BatchUpsertItemsResponse,
        timeout,
    )


def import_items(
    items: Iterable[Item], *, timeout: float = IMPORT_SECONDS
) -> StreamCall[ImportItemsRequest, ImportItemsResponse]:
    """Write any number of items as one stream; what was sent before a break stays written."""
    return StreamCall(
        "/longtail.v1.ItemService/ImportItems",
        (ImportItemsRequest(items=batch) for batch in _batches(items)),
        ImportItemsResponse,
        timeout,
    )


def delete_item(
    item_id: str, *, timeout: float | None = None
) -> Call[DeleteItemRequest, DeleteItemResponse]:
    """Remove one item; NOT_FOUND when there is none of that id."""
    return Call(
        "/longtail.v1.ItemService/DeleteItem",
        DeleteItemRequest(id=item_id),
        DeleteItemResponse,
        timeout,
    )


def write_interactions(
    interactions: Iterable[Interaction], *, timeout: float | None = None
) -> Call[
    WriteInteractionsRequest,
    WriteInteractionsResponse,
]:
    """Record 1 to 1,000 interactions; an event_id that is known already is left as it is."""
    return Call(
        "/longtail.v1.InteractionService/WriteInteractions",
        WriteInteractionsRequest(interactions=interactions),
        WriteInteractionsResponse,
        timeout,
    )


def import_interactions(
    interactions: Iterable[Interaction], *, timeout: float = IMPORT_SECONDS
) -> StreamCall[
    ImportInteractionsRequest,
    ImportInteractionsResponse,
]:
    """Record any number of interactions as one stream."""
    return StreamCall(
        "/longtail.v1.InteractionService/ImportInteractions",
        (ImportInteractionsRequest(interactions=batch) for batch in _batches(interactions)),
        ImportInteractionsResponse,
        timeout,
    )


def delete_user_data(
    user_id: str, *, timeout: float | None = None
) -> Call[DeleteUserDataRequest, DeleteUserDataResponse]:
    """Forget a person: every interaction of theirs, and their part in popularity."""
    return Call(
        "/longtail.v1.InteractionService/DeleteUserData",
        DeleteUserDataRequest(user_id=user_id),
        DeleteUserDataResponse,
        timeout,
    )


def catalog_stats(
    *, timeout: float | None = None
) -> Call[GetCatalogStatsRequest, GetCatalogStatsResponse]:
    """Count items, interactions, persons and buckets of popularity."""
    return Call(
        "/longtail.v1.InsightService/GetCatalogStats",
        GetCatalogStatsRequest(),
        GetCatalogStatsResponse,
        timeout,
    )


def server_info(
    *, timeout: float | None = None
) -> Call[GetServerInfoRequest, GetServerInfoResponse]:
    """Describe the running server."""
    return Call(
        "/longtail.v1.AdminService/GetServerInfo",
        GetServerInfoRequest(),
        GetServerInfoResponse,
        timeout,
    )


def _batches(elements: Iterable[Element]) -> Iterator[list[Element]]:
    source = iter(elements)
    while batch := list(islice(source, IMPORT_BATCH)):
        yield batch
