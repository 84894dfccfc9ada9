"""`longtail items get`, `list`, `update` and `delete`; other commands of the group join here."""

import json
from itertools import islice
from typing import Annotated

import typer
from longtail.client.calls.attributes import attributes_of
from longtail.client.calls.sync import LongtailClient
from longtail.client.cli import options, output
from longtail.client.cli.export import export_items
from longtail.client.cli.insight import item_popularity
from longtail.client.cli.item_changes import change
from longtail.client.cli.missing import missing_of, report_missing
from longtail.v1.item_pb2 import Item, State

app = typer.Typer(no_args_is_help=True, help="Read, change, export and remove items.")
app.command("export")(export_items)
app.command("popularity")(item_popularity)

ItemIds = Annotated[list[str], typer.Argument(metavar="ITEM...", help="The items' ids.")]


@app.command("get")
def get_items(
    item_ids: ItemIds,
    address: options.Address = options.ADDRESS,
    timeout: options.Timeout = options.TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """Show items; exit with 1 when one does not exist."""
    with LongtailClient(address, timeout=timeout) as client:
        response = client.get_items(item_ids)
    if as_json:
        output.print_message(response)
    else:
        for item in response.items:
            _show(item)
    report_missing(list(response.missing_ids))


@app.command("list")
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
    columns = [
        ("item", False),
        ("title", False),
        ("state", False),
        ("prior", True),
        ("penalty", True),
    ]
    rows = [
        (
            each.id,
            each.title,
            _state(each.state),
            output.number(each.popularity_prior),
            output.number(each.penalty),
        )
        for each in found
    ]
    output.console().print(output.table(columns, rows))


@app.command("update")
def update_item(
    item_id: Annotated[str, typer.Argument(metavar="ITEM", help="The item's id.")],
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            help="title, text, popularity_prior, state (active, hidden, in_review), "
            "available_from, available_until (RFC 3339), penalty (0 to 1) or attributes.NAME. "
            "Repeatable.",
        ),
    ] = None,
    cleared: Annotated[
        list[str] | None,
        typer.Option("--clear", metavar="FIELD", help="Remove the field's value. Repeatable."),
    ] = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Write the item when it does not exist.")
    ] = False,
    address: options.Address = options.ADDRESS,
    timeout: options.Timeout = options.TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """Change some fields of an item and leave the others.

    An attribute's VALUE is true, false, a number, JSON that begins with a quote or a bracket, or
    else text.
    """
    try:
        item, fields = change(item_id, assignments or (), cleared or ())
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    with LongtailClient(address, timeout=timeout) as client:
        response = client.update_item(item, fields, allow_missing=allow_missing)
    if as_json:
        output.print_message(response)
    else:
        _show(response.item)


@app.command("delete")
def delete_items(
    item_ids: ItemIds,
    address: options.Address = options.ADDRESS,
    timeout: options.Timeout = options.TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """Remove items; their interactions stay. Exit with 1 when one does not exist."""
    with LongtailClient(address, timeout=timeout) as client:
        response = client.delete_items(item_ids)
    missing = missing_of(item_ids, response.statuses)
    if as_json:
        output.print_message(response)
    else:
        removed = len(item_ids) - len(missing)
        output.console().print(
            f"removed {removed:,} items at revision {response.revision}", soft_wrap=True
        )
    report_missing(missing)


def _show(item: Item) -> None:
    rows = [
        ("id", item.id),
        ("title", item.title),
        ("text", item.text),
        ("state", _state(item.state)),
        ("popularity prior", output.number(item.popularity_prior)),
        ("penalty", output.number(item.penalty)),
    ]
    if item.HasField("available_from"):
        rows.append(("available from", output.moment(item.available_from)))
    if item.HasField("available_until"):
        rows.append(("available until", output.moment(item.available_until)))
    rows += [
        ("created", output.moment(item.create_time)),
        ("updated", output.moment(item.update_time)),
        *((name, _told(value)) for name, value in sorted(attributes_of(item).items())),
    ]
    output.console().print(output.pairs(rows))


def _told(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _state(state: State) -> str:
    return output.enum_word(State.Name(state), "STATE_")
