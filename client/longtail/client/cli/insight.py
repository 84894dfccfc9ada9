"""`longtail exposure` and `longtail items popularity`."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from longtail.client.calls.sync import LongtailClient
from longtail.client.cli import options, output
from longtail.v1.recommendation_service_pb2 import Bucket


def exposure(
    hours: Annotated[
        float | None,
        typer.Option(min=0.001, help="The last so many hours, in place of --start and --end."),
    ] = None,
    start: options.Start = None,
    end: options.End = None,
    address: options.Address = options.ADDRESS,
    timeout: options.Timeout = options.TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """Say how recorded impressions were spread over the catalogue, and what that cost."""
    if hours is not None:
        if start or end:
            raise typer.BadParameter("--hours goes without --start and --end")
        start = datetime.now(UTC) - timedelta(hours=hours)
    with LongtailClient(address, timeout=timeout) as client:
        report = client.get_exposure_report(start, end)
    if as_json:
        output.print_message(report)
        return
    shares = report.shares
    output.console().print(
        output.pairs(
            [
                ("from", output.moment(report.start_time)),
                ("until", output.moment(report.end_time)),
                ("impressions", f"{report.impression_count:,}"),
                ("lists", f"{report.list_count:,}"),
                ("items shown", f"{report.item_count:,}, {report.coverage:.1%} of the catalogue"),
                ("Gini coefficient", f"{report.gini:.3f}"),
                ("mean popularity", f"{report.mean_popularity:.1f}"),
                ("long tail", f"{report.tail_fraction:.1%} of a list on the average"),
                ("relevance loss", f"{report.mean_relevance_loss:.2%} on the average"),
                (
                    "shares",
                    f"head {shares.head:.1%}, mid {shares.mid:.1%}, tail {shares.tail:.1%}",
                ),
                ("revision", str(report.revision)),
            ]
        )
    )


def item_popularity(
    item_id: Annotated[str, typer.Argument(metavar="ITEM", help="The item's id.")],
    address: options.Address = options.ADDRESS,
    timeout: options.Timeout = options.TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """Say how popular an item is, and what that is made of."""
    with LongtailClient(address, timeout=timeout) as client:
        found = client.get_item_popularity(item_id)
    if as_json:
        output.print_message(found)
        return
    console = output.console()
    console.print(
        output.pairs(
            [
                ("popularity", output.number(found.popularity)),
                ("prior", output.number(found.prior)),
                ("bucket", output.enum_word(Bucket.Name(found.bucket), "BUCKET_")),
                ("less popular", f"{found.popularity_percentile:.1%} of the catalogue"),
                ("impressions", f"{found.impression_count:,}"),
                ("response rate", f"{found.response_rate:.2%}"),
                ("revision", str(found.revision)),
            ]
        )
    )
    columns = [("type", False), ("interactions", True), ("popularity", True)]
    rows = [(each.type, f"{each.count:,}", output.number(each.popularity)) for each in found.types]
    console.print(output.table(columns, rows))
