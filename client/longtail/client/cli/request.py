"""The options that say what is asked for: `recommend`, `explain` and `compare` have them in common.

typer reads what a command takes from its signature, so the common options are written into it.
"""

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

from longtail.client.calls.messages import example
from longtail.client.calls.recommend_request import RecommendOptions
from longtail.client.cli import options
from longtail.client.cli.where_grammar import filter_from
from longtail.v1.recommendation_service_pb2 import Example


def asked(
    *,
    user: options.User = "",
    long_tail: options.LongTail = None,
    min_tail_fraction: options.MinTailFraction = None,
    relevance_budget: options.RelevanceBudget = None,
    tail: options.Tail = None,
    coverage: options.Coverage = None,
    taste: options.Taste = None,
    diversity: options.Diversity = None,
    cap: options.Caps = None,
    explore: options.Explore = 0,
    explore_max_popularity: options.ExploreMaxPopularity = None,
    pin: options.Pins = None,
    boost: options.Boosts = None,
    bury: options.Buries = None,
    rotation: options.Rotation = None,
    seed: options.Seed = None,
    count: options.Count = 10,
    like: options.Like = None,
    dislike: options.Dislike = None,
    where: options.Where = None,
    exclude: options.Exclude = None,
    allow_seen: options.AllowSeen = False,
    allow_copies: options.AllowCopies = False,
    ignore_words: options.IgnoreWords = False,
) -> RecommendOptions:
    """Return the arguments of `recommend` for these options."""
    return RecommendOptions(
        user_id=user,
        examples=_examples(like, dislike),
        page_size=count,
        strength=long_tail,
        min_tail_fraction=min_tail_fraction,
        relevance_budget=relevance_budget,
        tail=tail,
        coverage=coverage,
        taste=taste,
        diversity=diversity,
        caps={each.field: each.limit for each in cap or ()},
        explore=explore,
        explore_max_popularity=explore_max_popularity,
        rules=[*(pin or ()), *(boost or ()), *(bury or ())],
        rotation=rotation,
        seed=seed,
        filter=filter_from(where or ()),
        exclude=exclude or (),
        allow_seen=allow_seen,
        allow_copies=allow_copies,
        ignore_words=ignore_words,
    )


def takes_request(command: Callable[..., None]) -> Callable[..., None]:
    """Return the command with the options of `asked` in place of its parameter `request`."""
    shared = inspect.signature(asked).parameters
    own = inspect.signature(command).parameters

    @functools.wraps(command)
    # The types of the values are those that the signature below says.
    def run(**given: Any) -> None:  # noqa: ANN401
        request = asked(**{name: given.pop(name) for name in shared})
        command(request=request, **given)

    parameters: list[inspect.Parameter] = []
    for name, parameter in own.items():
        parameters += shared.values() if name == "request" else [parameter]
    by_name = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters]
    run.__annotations__ = {each.name: each.annotation for each in by_name}
    run.__signature__ = inspect.Signature(by_name)  # type: ignore[attr-defined]  # PEP 362
    return run


def _examples(like: list[str] | None, dislike: list[str] | None) -> Iterable[Example]:
    yield from (example(item_id=item_id) for item_id in like or ())
    yield from (example(item_id=item_id, weight=-1) for item_id in dislike or ())
