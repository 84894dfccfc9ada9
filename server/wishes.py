"""From a RecommendRequest to a wish: validated first, then with the vectors of its texts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from longtail.v1 import recommendation_service_pb2 as pb
from numpy.typing import NDArray

from runtime.errors import InvalidArgument, Violation
from server.candidates import ItemExample
from server.columns.filter import Filter
from server.filter_request import filter_of
from server.ranking.interest import Weighted
from server.ranking.quota import Policy
from server.recommender import Wish
from server.validation import (
    MAX_QUERY,
    MAX_TYPE,
    check_id,
    check_number,
    check_page_size,
    check_text,
    unit_vector,
)

DEFAULT_PAGE, MAX_PAGE = 10, 100
MAX_EXAMPLES = 100
MAX_EXCLUDED = 1000
MAX_SEEN_TYPES = 100
MAX_WEIGHT = 100.0


@dataclass(frozen=True)
class WishDraft:
    """A valid request whose `texts`, the query first if there is one, still need vectors."""

    request: pb.RecommendRequest
    policy: Policy
    page_size: int
    texts: tuple[str, ...]
    text_weights: tuple[float, ...]
    vector_examples: tuple[Weighted, ...]
    item_examples: tuple[ItemExample, ...]
    filter: Filter | None

    def wish(self, vectors: NDArray[np.float32] | None) -> Wish:
        """Return the wish with the unit `vectors` (n, d) of the texts; None leaves them out."""
        request = self.request
        rows = [] if vectors is None else list(vectors)
        query = rows.pop(0) if rows and request.query else None
        weights = self.text_weights if rows else ()
        return Wish(
            user_id=request.user_id,
            query=query,
            examples=(
                *(Weighted(row, weight) for row, weight in zip(rows, weights, strict=True)),
                *self.vector_examples,
            ),
            item_examples=self.item_examples,
            excluded=frozenset(request.exclude.item_ids),
            seen_types=frozenset(request.exclude.seen_types),
            allow_seen=request.exclude.allow_seen,
            page_size=self.page_size,
            policy=self.policy,
            filter=self.filter,
            min_revision=request.min_revision,
        )


def wish_draft(
    request: pb.RecommendRequest, *, dimension: int, default_strength: float
) -> WishDraft:
    """Validate a request; raise InvalidArgument naming the first field that is wrong."""
    check_text("query", request.query, MAX_QUERY)
    if request.user_id:
        check_id("user_id", request.user_id)
    _check_count("examples", request.examples, MAX_EXAMPLES)
    _check_count("exclude.item_ids", request.exclude.item_ids, MAX_EXCLUDED)
    _check_count("exclude.seen_types", request.exclude.seen_types, MAX_SEEN_TYPES)
    for position, item_id in enumerate(request.exclude.item_ids):
        check_id(f"exclude.item_ids[{position}]", item_id)
    for position, seen_type in enumerate(request.exclude.seen_types):
        check_id(f"exclude.seen_types[{position}]", seen_type, MAX_TYPE)
    if request.explain not in pb.Explain.values():
        raise InvalidArgument(Violation("explain", f"is {request.explain}, which is no Explain"))

    texts = [request.query] if request.query else []
    text_weights: list[float] = []
    vectors: list[Weighted] = []
    items: list[ItemExample] = []
    for position, example in enumerate(request.examples):
        field = f"examples[{position}]"
        weight = _weight(f"{field}.weight", example)
        match example.WhichOneof("kind"):
            case "item_id":
                items.append(ItemExample(check_id(f"{field}.item_id", example.item_id), weight))
            case "text":
                if not example.text:
                    raise InvalidArgument(Violation(f"{field}.text", "is empty"))
                texts.append(check_text(f"{field}.text", example.text, MAX_QUERY))
                text_weights.append(weight)
            case "vector":
                vector = unit_vector(f"{field}.vector", example.vector, dimension)
                vectors.append(Weighted(vector, weight))
            case _:
                raise InvalidArgument(Violation(field, "is neither item_id nor text nor vector"))
    return WishDraft(
        request=request,
        policy=_policy(request.long_tail, default_strength),
        page_size=check_page_size(request.page_size, default=DEFAULT_PAGE, limit=MAX_PAGE),
        texts=tuple(texts),
        text_weights=tuple(text_weights),
        vector_examples=tuple(vectors),
        item_examples=tuple(items),
        filter=filter_of(request.filter, "filter"),
    )


def _policy(long_tail: pb.LongTail, default_strength: float) -> Policy:
    def value(name: str, default: float) -> float:
        given = getattr(long_tail, name) if long_tail.HasField(name) else default
        return check_number(f"long_tail.{name}", given, 0, 1)

    return Policy(
        strength=value("strength", default_strength),
        min_tail_fraction=value("min_tail_fraction", 0.0),
        relevance_budget=value("relevance_budget", 1.0),
    )


def _weight(field: str, example: pb.Example) -> float:
    weight = example.weight if example.HasField("weight") else 1.0
    if weight == 0:
        raise InvalidArgument(Violation(field, "is zero, so the example says nothing"))
    return check_number(field, weight, -MAX_WEIGHT, MAX_WEIGHT)


def _check_count(field: str, elements: Sequence[object], limit: int) -> None:
    if len(elements) > limit:
        raise InvalidArgument(Violation(field, f"holds {len(elements)} elements, over {limit}"))
