"""`longtail explain`: why an item is in a list, or why not."""

from typing import Annotated

import typer
from longtail.client.calls.recommend_request import RecommendOptions
from longtail.client.calls.sync import LongtailClient
from longtail.client.cli import options, output, result
from longtail.client.cli.request import takes_request
from longtail.v1.recommendation_service_pb2 import ExplainItemResponse, Verdict


@takes_request
def explain(
    *,
    item_id: Annotated[
        str, typer.Argument(metavar="ITEM", help="The id of the item to be explained.")
    ],
    query: options.Query = "",
    request: RecommendOptions,
    address: options.Address = options.ADDRESS,
    timeout: options.Timeout = options.TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """Say why an item is in the list that `recommend` gives for the same options, or why not."""
    with LongtailClient(address, timeout=timeout) as client:
        response = client.explain_item(item_id, query, **request)
    if as_json:
        output.print_message(response)
    else:
        console = output.console()
        console.print(response.summary, markup=False)
        console.print(output.pairs(_rows(response)))


def _rows(response: ExplainItemResponse) -> list[tuple[str, str]]:
    item = response.recommendation
    breakdown = item.breakdown
    rows = [
        ("item", f"{item.item_id}  {item.title}"),
        ("verdict", output.enum_word(Verdict.Name(response.verdict), "VERDICT_")),
        ("rank", str(item.rank or "none")),
        ("bucket", result.bucket(item)),
        ("reasons", result.reasons(item)),
        ("propensity", result.propensity(item)),
        ("most like", result.nearest(item)),
        ("words", ", ".join(item.matched_words)),
        ("in common", ", ".join(item.matching_attributes)),
        ("relevance", f"{breakdown.relevance:.4f}"),
        ("estimate", f"{breakdown.estimate:.4f}"),
        ("log odds", result.terms(breakdown)),
        *(
            (part.heading, part.text(breakdown))
            for part in result.PARTS
            if not part.is_idle(breakdown)
        ),
        (result.NO_ITEM_HAS, ", ".join(result.missing(response.missing_attributes))),
    ]
    return [(name, value) for name, value in rows if value]
