"""`longtail interactions` and `longtail user`."""

from itertools import islice
from typing import Annotated

import typer
from longtail.client import cli_options as options
from longtail.client import cli_output as output
from longtail.client.sync import LongtailClient

interactions = typer.Typer(no_args_is_help=True, help="Read what people did with items.")
user = typer.Typer(no_args_is_help=True, help="Forget persons.")


# Without a callback, a group of one command would be that command.
@interactions.callback()
def _interactions() -> None:
    pass


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
            f"{each.value:g}" if each.HasField("value") else "",
            each.query,
        )
        for each in found
    ]
    output.console().print(output.table(columns, rows))


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
