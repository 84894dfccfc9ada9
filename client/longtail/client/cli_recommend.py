"""`longtail recommend` and `longtail explain`."""

from collections.abc import Iterable

import typer
from longtail.client import cli_options as options
from longtail.client import cli_output as output
from longtail.client.messages import example
from longtail.client.sync import LongtailClient
from longtail.client.where_grammar import filter_from
from longtail.v1.recommendation_service_pb2 import (
    Breakdown,
    Bucket,
    Degradation,
    Example,
    Reason,
    Recommendation,
    RecommendResponse,
    ShortPageReason,
    Verdict,
)


def recommend(
    query: options.Query = "",
    user: options.User = "",
    long_tail: options.LongTail = None,
    min_tail_fraction: options.MinTailFraction = None,
    relevance_budget: options.RelevanceBudget = None,
    count: options.Count = 10,
    like: options.Like = None,
    dislike: options.Dislike = None,
    where: options.Where = None,
    exclude: options.Exclude = None,
    allow_seen: options.AllowSeen = False,
    explain: bool = typer.Option(False, "--explain", help="Show what each score is made of."),
    address: options.Address = options.ADDRESS,
    timeout: options.Timeout = options.TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """Recommend items for a query, a person, liked items, or any mixture of them."""
    with LongtailClient(address, timeout=timeout) as client:
        response = client.recommend(
            query,
            user_id=user,
            examples=_examples(like, dislike),
            page_size=count,
            strength=long_tail,
            min_tail_fraction=min_tail_fraction,
            relevance_budget=relevance_budget,
            filter=filter_from(where or ()),
            exclude=exclude or (),
            allow_seen=allow_seen,
            explain="full",
        )
    if as_json:
        output.print_message(response)
    else:
        _show_list(response, explain)


def explain(
    item_id: str = typer.Argument(metavar="ITEM", help="The id of the item to be explained."),
    query: options.Query = "",
    user: options.User = "",
    long_tail: options.LongTail = None,
    min_tail_fraction: options.MinTailFraction = None,
    relevance_budget: options.RelevanceBudget = None,
    count: options.Count = 10,
    like: options.Like = None,
    dislike: options.Dislike = None,
    where: options.Where = None,
    exclude: options.Exclude = None,
    allow_seen: options.AllowSeen = False,
    address: options.Address = options.ADDRESS,
    timeout: options.Timeout = options.TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """Say why an item is in the list that `recommend` gives for the same options, or why not."""
    with LongtailClient(address, timeout=timeout) as client:
        response = client.explain_item(
            item_id,
            query,
            user_id=user,
            examples=_examples(like, dislike),
            page_size=count,
            strength=long_tail,
            min_tail_fraction=min_tail_fraction,
            relevance_budget=relevance_budget,
            filter=filter_from(where or ()),
            exclude=exclude or (),
            allow_seen=allow_seen,
        )
    if as_json:
        output.print_message(response)
        return
    item = response.recommendation
    rows = [
        ("item", f"{item.item_id}  {item.title}"),
        ("verdict", output.enum_word(Verdict.Name(response.verdict), "VERDICT_")),
        ("rank", str(item.rank or "none")),
        ("bucket", _bucket(item)),
        ("reasons", _reasons(item)),
        ("relevance gap", f"{response.relevance_gap:.4f}"),
    ]
    console = output.console()
    console.print(response.summary, markup=False)
    console.print(output.pairs(rows + _breakdown(item.breakdown)))


def _examples(like: list[str] | None, dislike: list[str] | None) -> Iterable[Example]:
    yield from (example(item_id=item_id) for item_id in like or ())
    yield from (example(item_id=item_id, weight=-1) for item_id in dislike or ())


def _show_list(response: RecommendResponse, explain: bool) -> None:
    columns = [
        ("rank", True),
        ("item", False),
        ("title", False),
        ("bucket", False),
        ("relevance", True),
        ("score", True),
        ("reasons", False),
    ]
    rows = [
        [
            str(item.rank),
            item.item_id,
            item.title,
            _bucket(item),
            f"{item.breakdown.relevance:.4f}",
            f"{item.score:.4f}",
            _reasons(item),
        ]
        for item in response.results
    ]
    console = output.console()
    console.print(output.table(columns, rows))
    if explain:
        # Beside the titles there is no room for so many columns; relevance is shown there.
        parts = [("rank", True), *((name, True) for name, _ in _breakdown(Breakdown())[1:])]
        values = [
            [str(item.rank), *(value for _, value in _breakdown(item.breakdown)[1:])]
            for item in response.results
        ]
        console.print(output.table(parts, values))
    console.print(output.pairs(_summary(response)))


def _summary(response: RecommendResponse) -> list[tuple[str, str]]:
    metrics, policy, timings = response.list_metrics, response.policy, response.timings
    rows = [
        ("long tail", f"{metrics.tail_fraction:.0%} of the list, strength {policy.strength:g}"),
        ("relevance loss", f"{metrics.relevance_loss:.2%}"),
        ("diversity", f"{metrics.intra_list_diversity:.3f}"),
        ("revision", str(response.provenance.revision)),
        (
            "time",
            f"{output.milliseconds(timings.total)} (embedding "
            f"{output.milliseconds(timings.embedding)}, search "
            f"{output.milliseconds(timings.search)}, ranking "
            f"{output.milliseconds(timings.ranking)})",
        ),
    ]
    if not policy.min_tail_fraction_met:
        rows.append(("not met", f"at least {policy.min_tail_fraction:.0%} of the tail"))
    for degradation in response.degraded:
        rows.append(("degraded", output.enum_word(Degradation.Name(degradation), "DEGRADATION_")))
    if response.missing_ids:
        rows.append(("unknown items", ", ".join(response.missing_ids)))
    if response.short_page_reason:
        reason = ShortPageReason.Name(response.short_page_reason)
        rows.append(("short because", output.enum_word(reason, "SHORT_PAGE_REASON_")))
    return rows


def _breakdown(breakdown: Breakdown) -> list[tuple[str, str]]:
    return [
        ("relevance", f"{breakdown.relevance:.4f}"),
        ("similarity", f"{breakdown.similarity:.4f}"),
        ("query", f"{breakdown.from_query:.4f}"),
        ("examples", f"{breakdown.from_examples:.4f}"),
        ("history", f"{breakdown.from_history:.4f}"),
        ("gain", f"{breakdown.relevance_gain:.4f}"),
        ("tail bonus", f"{breakdown.tail_bonus:.4f}"),
        ("base rank", str(breakdown.baseline_rank or "none")),
        ("popularity", f"{breakdown.popularity:g}"),
        ("less popular", f"{breakdown.popularity_percentile:.1%}"),
    ]


def _bucket(item: Recommendation) -> str:
    return output.enum_word(Bucket.Name(item.bucket), "BUCKET_")


def _reasons(item: Recommendation) -> str:
    return ", ".join(output.enum_word(Reason.Name(reason), "REASON_") for reason in item.reasons)
