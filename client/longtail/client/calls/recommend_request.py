"""Builds what is asked of `Recommend`, and the policies that are compared, from plain arguments."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Literal, TypedDict

from longtail.client.calls.built import built
from longtail.v1.filter_pb2 import Filter
from longtail.v1.recommendation_service_pb2 import (
    AttributeCap,
    ComparedPolicy,
    Diversity,
    Example,
    Exclusions,
    Exploration,
    LongTail,
    RecommendRequest,
    Rotation,
    Rule,
)

Explain = Literal["none", "reasons", "full"]


class RecommendOptions(TypedDict, total=False):
    """The arguments of `recommend_request` that have a name, for the calls that pass them on."""

    user_id: str
    examples: Iterable[Example]
    page_size: int
    strength: float | None
    min_tail_fraction: float | None
    relevance_budget: float | None
    tail: float | None
    coverage: float | None
    taste: float | None
    diversity: float | None
    caps: Mapping[str, int]
    explore: int
    explore_max_popularity: float | None
    rules: Iterable[Rule]
    rotation: float | None
    rotation_half_life: timedelta | None
    filter: Filter | None
    exclude: Iterable[str]
    seen_types: Iterable[str]
    allow_seen: bool
    allow_copies: bool
    ignore_words: bool
    seed: int | None
    page_token: str
    explain: Explain
    min_revision: int
    allow_degraded: bool
    include_items: bool


def recommend_request(
    query: str = "",
    *,
    user_id: str = "",
    examples: Iterable[Example] = (),
    page_size: int = 0,
    strength: float | None = None,
    min_tail_fraction: float | None = None,
    relevance_budget: float | None = None,
    tail: float | None = None,
    coverage: float | None = None,
    taste: float | None = None,
    diversity: float | None = None,
    caps: Mapping[str, int] | None = None,
    explore: int = 0,
    explore_max_popularity: float | None = None,
    rules: Iterable[Rule] = (),
    rotation: float | None = None,
    rotation_half_life: timedelta | None = None,
    filter: Filter | None = None,
    exclude: Iterable[str] = (),
    seen_types: Iterable[str] = (),
    allow_seen: bool = False,
    allow_copies: bool = False,
    ignore_words: bool = False,
    seed: int | None = None,
    page_token: str = "",
    explain: Explain = "full",
    min_revision: int = 0,
    allow_degraded: bool = False,
    include_items: bool = False,
) -> RecommendRequest:
    """Return a request for a query, a person, examples, or any mixture of them.

    What is None is left to the server. All shares are from 0 to 1.

    - `strength` is how much place the long tail gets, `min_tail_fraction` its least share of the
      list, `relevance_budget` the largest share of relevance that the list may lose.
    - `tail`, `coverage` and `taste` are the prices of `strength` apart: of the tail, of what is
      seldom shown, and of the person's own shares of head, middle and tail.
    - `diversity` is how unlike each other the results are; `caps` has for an attribute how many
      results may share a value of it.
    - `explore` places are kept for items of a popularity of at most `explore_max_popularity`.
    - `rules` come from `pin`, `boost` and `bury`.
    - `rotation` is the share of its relevance that an item loses just after `user_id` was shown it;
      the loss halves every `rotation_half_life`.
    - `filter` comes from `filter_of`; `exclude` are item ids; `seen_types` are the types of
      interaction that make an item seen, every type when empty.
    - `allow_copies` lets items that are the same come side by side; otherwise one stands for all.
    - `ignore_words` finds items for the query by its meaning alone.
    - `seed` is what exploration draws from; `page_token` comes from the page before.
    - `min_revision` reads your own writes.
    """
    rotated = rotation is not None or rotation_half_life is not None
    return built(
        RecommendRequest,
        query=query,
        user_id=user_id,
        examples=examples,
        page_size=page_size,
        exclude=Exclusions(item_ids=exclude, seen_types=seen_types, allow_seen=allow_seen),
        filter=filter,
        long_tail=_long_tail(
            strength=strength,
            min_tail_fraction=min_tail_fraction,
            relevance_budget=relevance_budget,
            tail=tail,
            coverage=coverage,
            taste=taste,
        ),
        diversity=_diversity(diversity, caps),
        exploration=_exploration(explore or None, explore_max_popularity),
        rules=rules,
        rotation=Rotation(rate=rotation, half_life=rotation_half_life) if rotated else None,
        seed=seed,
        page_token=page_token,
        allow_copies=allow_copies,
        ignore_words=ignore_words,
        explain=f"EXPLAIN_{explain.upper()}",
        min_revision=min_revision,
        allow_degraded=allow_degraded,
        include_items=include_items,
    )


def policy(
    *,
    strength: float | None = None,
    min_tail_fraction: float | None = None,
    relevance_budget: float | None = None,
    tail: float | None = None,
    coverage: float | None = None,
    taste: float | None = None,
    diversity: float | None = None,
    caps: Mapping[str, int] | None = None,
    explore: int | None = None,
    explore_max_popularity: float | None = None,
) -> ComparedPolicy:
    """Return a policy for `compare_recommendations`; the arguments are those of `recommend`.

    They come in three groups: the first six, `diversity` with `caps`, and the last two. A group
    of which something is given takes the place of the request's whole, the others leave it.
    """
    return ComparedPolicy(
        long_tail=_long_tail(
            strength=strength,
            min_tail_fraction=min_tail_fraction,
            relevance_budget=relevance_budget,
            tail=tail,
            coverage=coverage,
            taste=taste,
        ),
        diversity=_diversity(diversity, caps),
        exploration=_exploration(explore, explore_max_popularity),
    )


def _long_tail(**given: float | None) -> LongTail | None:
    return LongTail(**given) if any(each is not None for each in given.values()) else None


def _diversity(strength: float | None, caps: Mapping[str, int] | None) -> Diversity | None:
    if strength is None and not caps:
        return None
    return Diversity(
        strength=strength,
        caps=[AttributeCap(field=field, limit=limit) for field, limit in (caps or {}).items()],
    )


def _exploration(slots: int | None, max_popularity: float | None) -> Exploration | None:
    if slots is None and max_popularity is None:
        return None
    return Exploration(slots=slots, max_popularity=max_popularity)
