"""The calls of InteractionService: see `recommendation_calls`."""

from collections.abc import Iterable

from longtail.client.batches import batches
from longtail.client.call import STREAM_SECONDS, Call, ClientStreamCall
from longtail.v1.interaction_service_pb2 import (
    DeleteUserDataRequest,
    DeleteUserDataResponse,
    ImportInteractionsRequest,
    ImportInteractionsResponse,
    Interaction,
    ListInteractionsRequest,
    ListInteractionsResponse,
    WriteInteractionsRequest,
    WriteInteractionsResponse,
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
    interactions: Iterable[Interaction], *, timeout: float = STREAM_SECONDS
) -> ClientStreamCall[
    ImportInteractionsRequest,
    ImportInteractionsResponse,
]:
    """Record any number of interactions as one stream."""
    return ClientStreamCall(
        "/longtail.v1.InteractionService/ImportInteractions",
        (ImportInteractionsRequest(interactions=batch) for batch in batches(interactions)),
        ImportInteractionsResponse,
        timeout,
    )


def list_interactions_page(
    *,
    user_id: str = "",
    item_id: str = "",
    page_size: int = 0,
    page_token: str = "",
    timeout: float | None = None,
) -> Call[ListInteractionsRequest, ListInteractionsResponse]:
    """Return one page of a person's or an item's interactions, the latest first."""
    request = ListInteractionsRequest(
        user_id=user_id, item_id=item_id, page_size=page_size, page_token=page_token
    )
    return Call(
        "/longtail.v1.InteractionService/ListInteractions",
        request,
        ListInteractionsResponse,
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
