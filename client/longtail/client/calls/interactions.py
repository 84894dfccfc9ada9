"""The calls of InteractionService: see `recommendations`."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from longtail.client.calls.built import built
from longtail.client.calls.call import (
    STREAM_SECONDS,
    Call,
    ClientStreamCall,
    Outgoing,
    PagedCall,
    batches,
    size_of,
)
from longtail.v1.interaction_service_pb2 import (
    DeleteUserDataRequest,
    DeleteUserDataResponse,
    ImportInteractionsRequest,
    ImportInteractionsResponse,
    Impression,
    Interaction,
    ListInteractionsRequest,
    ListInteractionsResponse,
    RecordImpressionsRequest,
    RecordImpressionsResponse,
    WriteInteractionsRequest,
    WriteInteractionsResponse,
)


def write_interactions(
    interactions: Iterable[Interaction], *, timeout: float | None = None
) -> Call[WriteInteractionsRequest, WriteInteractionsResponse]:
    """Record 1 to 1,000 interactions; an event_id that is known already is left as it is.

    `unattributed` names those whose recommendation_token the server does not know: they are
    recorded as if they came from elsewhere.
    """
    return Call(
        built(WriteInteractionsRequest, interactions=interactions),
        WriteInteractionsResponse,
        timeout,
    )


def import_interactions(
    interactions: Iterable[Interaction], *, timeout: float = STREAM_SECONDS
) -> ClientStreamCall[ImportInteractionsRequest, ImportInteractionsResponse]:
    """Record any number of interactions as one stream; see `write_interactions`."""
    return ClientStreamCall(
        ImportInteractionsRequest,
        Outgoing(
            built(ImportInteractionsRequest, interactions=batch)
            for batch in batches(interactions, size_of)
        ),
        ImportInteractionsResponse,
        timeout,
    )


def record_impressions(
    recommendation_token: str,
    shown: Iterable[str] | Mapping[str, int],
    *,
    time: datetime | None = None,
    timeout: float | None = None,
) -> Call[RecordImpressionsRequest, RecordImpressionsResponse]:
    """Record which items of a recommended list a person was shown; harmless to repeat.

    `shown` are 1 to 100 ids of items, each at its place in the list, or the places from 1 at which
    they were shown instead, by id. `time`, UTC when it has no zone, is now when None.
    """
    places = shown if isinstance(shown, Mapping) else dict.fromkeys(shown, 0)
    return Call(
        RecordImpressionsRequest(
            recommendation_token=recommendation_token,
            impressions=[
                Impression(item_id=item_id, position=place) for item_id, place in places.items()
            ],
            time=time,
        ),
        RecordImpressionsResponse,
        timeout,
    )


def list_interactions(
    *, user_id: str = "", item_id: str = "", page_size: int = 0, timeout: float | None = None
) -> PagedCall[ListInteractionsRequest, ListInteractionsResponse, Interaction]:
    """Yield the interactions of a person, of an item or of both together, the latest first.

    One of `user_id` and `item_id` must be given; `timeout` seconds are for each page.
    """
    first = Call(
        built(ListInteractionsRequest, user_id=user_id, item_id=item_id, page_size=page_size),
        ListInteractionsResponse,
        timeout,
    )
    return PagedCall(first, lambda page: page.interactions)


def delete_user_data(
    user_id: str, *, timeout: float | None = None
) -> Call[DeleteUserDataRequest, DeleteUserDataResponse]:
    """Forget a person: every interaction and impression of theirs, and their part in popularity."""
    return Call(built(DeleteUserDataRequest, user_id=user_id), DeleteUserDataResponse, timeout)
