"""`longtail recommend`: one list, or several pages of it."""

from collections.abc import Sequence
from typing import Annotated

import typer
from longtail.client.calls.recommend_request import RecommendOptions
from longtail.client.calls.sync import LongtailClient
from longtail.client.cli import options, output, result
from longtail.client.cli.request import takes_request
from longtail.v1.recommendation_service_pb2 import (
    Degradation,
    Recommendation,
    RecommendResponse,
    Saturation,
    ShortPageReason,
)
from rich.table import Table


@takes_request
def recommend(
    *,
    query: options.Query = "",
    request: RecommendOptions,
    pages: Annotated[
        int | None, typer.Option(min=1, help="Show so many pages, each of --count.")
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show what each score is made of.")
    ] = False,
    address: options.Address = options.ADDRESS,
    timeout: options.Timeout = options.TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """Recommend items for a query, a person, liked items, or any mixture of them.

    With --json as one object, with --pages too as an array of them.
    """
    with LongtailClient(address, timeout=timeout) as client:
        responses = list(client.recommend_pages(query, limit=pages or 1, **request))
    if as_json and pages is None:
        output.print_message(responses[0])
    elif as_json:
        output.print_json([output.message_as_dict(each) for each in responses])
    else:
        for response in responses:
            _show_list(response, explain)


def _show_list(response: RecommendResponse, explain: bool) -> None:
    console = output.console()
    console.print(_list(response.results))
    if explain:
        # Beside the titles there is no room for so many columns; relevance is shown there.
        console.print(_breakdowns(response.results))
        console.print(_grounds(response.results))
    console.print(output.pairs(_summary(response)))


def _list(items: Sequence[Recommendation]) -> Table:
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
            result.bucket(item),
            f"{item.breakdown.relevance:.4f}",
            f"{item.score:.4f}",
            _reasons(item),
        ]
        for item in items
    ]
    return output.table(columns, rows)


def _reasons(item: Recommendation) -> str:
    probability = result.propensity(item)
    return result.reasons(item) + (f", propensity {probability}" if probability else "")


def _breakdowns(items: Sequence[Recommendation]) -> Table:
    parts = [
        part for part in result.PARTS if not all(part.is_idle(item.breakdown) for item in items)
    ]
    return output.table(
        [("rank", True), *((part.heading, True) for part in parts)],
        [[str(item.rank), *(part.text(item.breakdown) for part in parts)] for item in items],
    )


def _grounds(items: Sequence[Recommendation]) -> Table:
    columns = [
        ("rank", True),
        ("most like", False),
        ("in common", False),
        ("estimate", True),
        ("log odds of relevance", False),
    ]
    rows = [
        [
            str(item.rank),
            result.nearest(item),
            ", ".join(item.matching_attributes),
            f"{item.breakdown.estimate:.4f}",
            result.terms(item.breakdown),
        ]
        for item in items
    ]
    return output.table(columns, rows)


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
    if policy.exploration_slots:
        rows.append(("explored places", str(policy.exploration_slots)))
    if not policy.min_tail_fraction_met:
        rows.append(("not met", f"at least {policy.min_tail_fraction:.0%} of the tail"))
    rows += [("gave way", words) for words in result.gave_way(policy)]
    if policy.saturation:
        reason = Saturation.Name(policy.saturation)
        rows.append(("no more tail", output.enum_word(reason, "SATURATION_")))
    for degradation in response.degraded:
        rows.append(("degraded", output.enum_word(Degradation.Name(degradation), "DEGRADATION_")))
    if response.missing_ids:
        rows.append(("unknown items", ", ".join(response.missing_ids)))
    if response.missing_attributes:
        rows.append((result.NO_ITEM_HAS, ", ".join(result.missing(response.missing_attributes))))
    if response.short_page_reason:
        reason = ShortPageReason.Name(response.short_page_reason)
        rows.append(("short because", output.enum_word(reason, "SHORT_PAGE_REASON_")))
    return rows
