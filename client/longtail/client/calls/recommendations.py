"""The calls of RecommendationService, each a pure function from plain arguments to a call.

The sync and the asyncio client are made from these functions and their neighbours of the other
services, so the surface, its types and its documentation are written once.
"""

from collections.abc import Iterable, Mapping
from typing import Unpack

from longtail.client.calls.call import Call, PagedCall
from longtail.client.calls.recommend_request import RecommendOptions, recommend_request
from longtail.v1.recommendation_service_pb2 import (
    BatchRecommendRequest,
    BatchRecommendResponse,
    ComparedPolicy,
    CompareRecommendationsRequest,
    CompareRecommendationsResponse,
    ExplainItemRequest,
    ExplainItemResponse,
    RecommendRequest,
    RecommendResponse,
)


def recommend(
    query: str = "", *, timeout: float | None = None, **options: Unpack[RecommendOptions]
) -> Call[RecommendRequest, RecommendResponse]:
    """Recommend items for a query, a person, examples, or any mixture of them.

    The arguments are those of `recommend_request`, where each is described.
    """
    return Call(recommend_request(query, **options), RecommendResponse, timeout)


def recommend_pages(
    query: str = "",
    *,
    limit: int | None = None,
    timeout: float | None = None,
    **options: Unpack[RecommendOptions],
) -> PagedCall[RecommendRequest, RecommendResponse, RecommendResponse]:
    """Yield page after page of one list, until its candidates are used up or `limit` pages.

    The arguments are those of `recommend`; `timeout` seconds are for each page.
    """
    first = recommend(query, timeout=timeout, **options)
    return PagedCall(first, lambda page: (page,), limit)


def batch_recommend(
    requests: Iterable[RecommendRequest], *, timeout: float | None = None
) -> Call[BatchRecommendRequest, BatchRecommendResponse]:
    """Answer 1 to 100 requests, made by `recommend_request`.

    Each has a status of its own, to be read with `error_from_status`, and where that is OK a
    response.
    """
    return Call(BatchRecommendRequest(requests=requests), BatchRecommendResponse, timeout)


def compare_recommendations(
    query: str = "",
    *,
    policies: Mapping[str, ComparedPolicy],
    timeout: float | None = None,
    **options: Unpack[RecommendOptions],
) -> Call[CompareRecommendationsRequest, CompareRecommendationsResponse]:
    """Answer one request under up to four policies, from the same candidates, side by side.

    `policies` has them by their names, each made by `policy`; the lists are compared with the
    first one's. The other arguments are those of `recommend`.
    """
    return Call(
        CompareRecommendationsRequest(
            request=recommend_request(query, **options),
            policies=[_named(name, policy) for name, policy in policies.items()],
        ),
        CompareRecommendationsResponse,
        timeout,
    )


def explain_item(
    item_id: str,
    query: str = "",
    *,
    timeout: float | None = None,
    **options: Unpack[RecommendOptions],
) -> Call[ExplainItemRequest, ExplainItemResponse]:
    """Say why an item is, or is not, in the list that `recommend` gives for the same rest."""
    return Call(
        ExplainItemRequest(request=recommend_request(query, **options), item_id=item_id),
        ExplainItemResponse,
        timeout,
    )


def _named(name: str, policy: ComparedPolicy) -> ComparedPolicy:
    named = ComparedPolicy()
    named.CopyFrom(policy)
    named.name = name
    return named
