"""The calls of ReviewService: see `recommendations`."""

import uuid
from collections.abc import Iterable
from datetime import datetime

from longtail.client.calls.call import Call, PagedCall
from longtail.v1.decision_pb2 import Decision
from longtail.v1.review_service_pb2 import (
    DecideItemsRequest,
    DecideItemsResponse,
    ListDecisionsRequest,
    ListDecisionsResponse,
    ListReviewQueueRequest,
    ListReviewQueueResponse,
    QueuedItem,
)


def list_review_queue(
    *, page_size: int = 0, timeout: float | None = None
) -> PagedCall[ListReviewQueueRequest, ListReviewQueueResponse, QueuedItem]:
    """Yield the items that await review, those that have waited longest first.

    `timeout` seconds are for each page.
    """
    first = Call(ListReviewQueueRequest(page_size=page_size), ListReviewQueueResponse, timeout)
    return PagedCall(first, lambda page: page.items)


def decide_items(
    item_ids: Iterable[str],
    kind: str,
    *,
    author: str = "",
    reason: str,
    penalty: float | None = None,
    expire_time: datetime | None = None,
    request_id: str = "",
    timeout: float | None = None,
) -> Call[DecideItemsRequest, DecideItemsResponse]:
    """Decide about 1 to 1,000 items at once; the status of one that is unknown is NOT_FOUND.

    `kind` is approve, hide, penalise (which takes a `penalty` above 0 to 1), submit or block;
    ValueError when it is another. From `expire_time`, UTC when it has no zone, on the decision does
    not count any more. `author` is who decides; with a key that is the key's name, and this stands
    behind it. `request_id` as in `upsert_items`.
    """
    return Call(
        DecideItemsRequest(
            item_ids=item_ids,
            kind=_kind(kind),
            penalty=penalty,
            author=author,
            reason=reason,
            expire_time=expire_time,
            request_id=request_id or str(uuid.uuid4()),
        ),
        DecideItemsResponse,
        timeout,
    )


def list_decisions(
    *,
    item_id: str = "",
    kind: str = "",
    in_force: bool = False,
    page_size: int = 0,
    timeout: float | None = None,
) -> PagedCall[ListDecisionsRequest, ListDecisionsResponse, Decision]:
    """Yield decisions, the latest first: of one item or all, of one kind or all.

    With `in_force` those that count now. `kind` as in `decide_items`; `timeout` seconds are for
    each page.
    """
    request = ListDecisionsRequest(
        item_id=item_id,
        kind=_kind(kind) if kind else None,
        in_force=in_force,
        page_size=page_size,
    )
    return PagedCall(Call(request, ListDecisionsResponse, timeout), lambda page: page.decisions)


def _kind(word: str) -> str:
    return f"DECISION_KIND_{word.upper()}"
