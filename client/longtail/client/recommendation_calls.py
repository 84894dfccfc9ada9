"""The calls of RecommendationService, each a pure function from plain arguments to a `Call`.

The sync and the asyncio client are made from these functions and their neighbours of the other
services, so the surface, its types and its documentation are written once.
"""

from collections.abc import Callable, Iterable
from typing import Concatenate, Literal, ParamSpec

from longtail.client.call import Call
from longtail.v1.filter_pb2 import Filter
from longtail.v1.recommendation_service_pb2 import (
    Example,
    Exclusions,
    ExplainItemRequest,
    ExplainItemResponse,
    LongTail,
    RecommendRequest,
    RecommendResponse,
)

P = ParamSpec("P")

Explain = Literal["none", "reasons", "full"]


def recommend(
    query: str = "",
    *,
    user_id: str = "",
    examples: Iterable[Example] = (),
    page_size: int = 0,
    strength: float | None = None,
    min_tail_fraction: float | None = None,
    relevance_budget: float | None = None,
    filter: Filter | None = None,
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
    None leaves each to the server. `filter` comes from `filter_of`; `exclude` are item ids.
    `min_revision` reads your own writes.
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
        filter=filter,
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
