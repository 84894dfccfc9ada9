"""`longtail stats` and `longtail info`."""

from longtail.client.calls.sync import LongtailClient
from longtail.client.cli import options, output


def stats(
    address: options.Address = options.ADDRESS,
    timeout: options.Timeout = options.TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """Count items, interactions, persons and the buckets of popularity."""
    with LongtailClient(address, timeout=timeout) as client:
        response = client.catalog_stats()
    if as_json:
        output.print_message(response)
        return
    columns = [("bucket", False), ("items", True), ("share of popularity", True)]
    buckets = (("head", response.head), ("mid", response.mid), ("tail", response.tail))
    rows = [
        (name, f"{bucket.item_count:,}", f"{bucket.popularity_share:.1%}")
        for name, bucket in buckets
    ]
    console = output.console()
    console.print(output.table(columns, rows))
    console.print(
        output.pairs(
            [
                ("items", f"{response.item_count:,}"),
                ("interactions", f"{response.interaction_count:,}"),
                ("persons", f"{response.user_count:,}"),
                ("revision", str(response.revision)),
            ]
        )
    )


def info(
    address: options.Address = options.ADDRESS,
    timeout: options.Timeout = options.TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """Describe the running server."""
    with LongtailClient(address, timeout=timeout) as client:
        response = client.server_info()
    if as_json:
        output.print_message(response)
        return
    index = response.index
    output.console().print(
        output.pairs(
            [
                ("address", address),
                ("version", response.version),
                ("encoder", response.model_id),
                ("dimension", str(response.dimension)),
                ("revision", str(response.revision)),
                ("started", output.moment(response.start_time)),
                ("items in the index", f"{index.live_count:,}"),
                ("tombstones", f"{index.tombstone_count:,}"),
                ("not merged yet", f"{index.delta_count:,}"),
                ("recall of late", f"{index.recall:.4f}" if index.recall else "not checked yet"),
                ("links per node", str(index.links)),
                ("width at construction", str(index.ef_construction)),
                ("width of the search", str(index.ef_search)),
            ]
        )
    )
