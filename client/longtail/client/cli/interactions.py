"""`longtail interactions` and `longtail user`."""

from itertools import islice
from typing import Annotated

import typer
from longtail.client.calls.sync import LongtailClient
from longtail.client.cli import options, output

interactions = typer.Typer(no_args_is_help=True, help="Read and record what people met with.")
user = typer.Typer(no_args_is_help=True, help="Forget persons.")


@interactions.command("list")
def list_interactions(
    user_id: Annotated[
        str, typer.Option("--user", help="The person whose interactions are listed.")
    ] = "",
    item_id: Annotated[
        str, typer.Option("--item", help="The item that the interactions are with.")
    ] = "",
    limit: Annotated[int, typer.Option(min=1, help="Interactions to list.")] = 100,
    address: options.Address = options.ADDRESS,
    timeout: options.Timeout = options.TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """List interactions of a person, of an item, or of both, the latest first.

    With --json as one array.
    """
    if not user_id and not item_id:
        raise typer.BadParameter("one of --user and --item is needed")
    with LongtailClient(address, timeout=timeout) as client:
        found = list(
            islice(
                client.list_interactions(
                    user_id=user_id, item_id=item_id, page_size=min(limit, 1000)
                ),
                limit,
            )
        )
    if as_json:
        output.print_json([output.message_as_dict(each) for each in found])
        return
    columns = [
        ("time", False),
        ("person", False),
        ("item", False),
        ("type", False),
        ("value", True),
        ("query", False),
    ]
    rows = [
        (
            output.moment(each.time),
            each.user_id,
            each.item_id,
            each.type,
            output.number(each.value) if each.HasField("value") else "",
            each.query,
        )
        for each in found
    ]
    output.console().print(output.table(columns, rows))


@interactions.command("shown")
def record_impressions(
    token: Annotated[str, typer.Argument(metavar="TOKEN", help="The list's recommendation_token.")],
    item_ids: Annotated[
        list[str], typer.Argument(metavar="ITEM...", help="The items of the list that were shown.")
    ],
    address: options.Address = options.ADDRESS,
    timeout: options.Timeout = options.TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """Record which items of a recommended list a person was shown; harmless to repeat."""
    with LongtailClient(address, timeout=timeout) as client:
        response = client.record_impressions(token, item_ids)
    if as_json:
        output.print_message(response)
    else:
        output.console().print(
            f"recorded {response.recorded_count:,} impressions at revision {response.revision}",
            soft_wrap=True,
        )


@user.command("delete")
def delete_user(
    user_id: str = typer.Argument(metavar="USER", help="The person's id."),
    address: options.Address = options.ADDRESS,
    timeout: options.Timeout = options.TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """Forget a person: remove every interaction and impression of theirs, from copies too."""
    with LongtailClient(address, timeout=timeout) as client:
        response = client.delete_user_data(user_id)
    if as_json:
        output.print_message(response)
    else:
        output.console().print(
            f"removed {response.deleted_interaction_count:,} interactions and "
            f"{response.deleted_impression_count:,} impressions of {user_id} "
            f"at revision {response.revision}; `longtail admin operation "
            f"{response.erasure_operation_id} --wait` follows what erases them from copies",
            markup=False,
            soft_wrap=True,
        )
