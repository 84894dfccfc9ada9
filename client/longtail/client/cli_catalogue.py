"""`longtail item`, `longtail user`, `longtail stats` and `longtail info`."""

from itertools import islice

import typer
from longtail.client import cli_options as options
from longtail.client import cli_output as output
from longtail.client.sync import LongtailClient

item = typer.Typer(no_args_is_help=True, help="Read and remove items.")
user = typer.Typer(no_args_is_help=True, help="Forget persons.")

ItemId = typer.Argument(metavar="ITEM", help="The item's id.")


@item.command("get")
def get_item(
    item_id: str = ItemId,
    address: options.Address = options.ADDRESS,
    timeout: options.Timeout = options.TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """Show one item."""
    with LongtailClient(address, timeout=timeout) as client:
        found = client.get_item(item_id).item
    if as_json:
        output.print_message(found)
        return
    attributes = output.message_as_dict(found)["attributes"] if found.attributes.fields else {}
    output.console().print(
        output.pairs(
            [
                ("id", found.id),
                ("title", found.title),
                ("text", found.text),
                ("popularity prior", f"{found.popularity_prior:g}"),
                ("created", output.moment(found.create_time)),
                ("updated", output.moment(found.update_time)),
                *((name, str(value)) for name, value in sorted(attributes.items())),
            ]
        )
    )


@item.command("list")
def list_items(
    limit: int = typer.Option(100, min=1, help="Items to list."),
    address: options.Address = options.ADDRESS,
    timeout: options.Timeout = options.TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """List items in the order of their ids; with --json as one array."""
    with LongtailClient(address, timeout=timeout) as client:
        found = list(islice(client.list_items(page_size=min(limit, 1000)), limit))
    if as_json:
        output.print_json([output.message_as_dict(each) for each in found])
        return
    columns = [("item", False), ("title", False), ("prior", True)]
    rows = [(each.id, each.title, f"{each.popularity_prior:g}") for each in found]
    output.console().print(output.table(columns, rows))


@item.command("delete")
def delete_item(
    item_id: str = ItemId,
    address: options.Address = options.ADDRESS,
    timeout: options.Timeout = options.TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """Remove one item; its interactions stay."""
    with LongtailClient(address, timeout=timeout) as client:
        response = client.delete_item(item_id)
    if as_json:
        output.print_message(response)
    else:
        output.console().print(
            f"removed {item_id} at revision {response.revision}", markup=False, soft_wrap=True
        )


@user.command("delete")
def delete_user(
    user_id: str = typer.Argument(metavar="USER", help="The person's id."),
    address: options.Address = options.ADDRESS,
    timeout: options.Timeout = options.TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """Forget a person: remove every interaction of theirs."""
    with LongtailClient(address, timeout=timeout) as client:
        response = client.delete_user_data(user_id)
    if as_json:
        output.print_message(response)
    else:
        count, revision = response.deleted_interaction_count, response.revision
        output.console().print(
            f"removed {count:,} interactions of {user_id} at revision {revision}",
            markup=False,
            soft_wrap=True,
        )


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
                ("links per node", str(index.links)),
                ("width at construction", str(index.ef_construction)),
                ("width of the search", str(index.ef_search)),
            ]
        )
    )
