"""`longtail vector-spaces`: spaces of vectors that items can have beside those of their texts."""

from typing import Annotated

import typer
from longtail.client.calls.sync import LongtailClient
from longtail.client.cli import options, output

app = typer.Typer(
    no_args_is_help=True, help="Declare, list and delete spaces of vectors, as of images."
)

Name = Annotated[str, typer.Argument(help="Its name, such as image.")]


@app.command("create")
def create_vector_space(
    name: Name,
    dimension: Annotated[int, typer.Argument(min=1, max=4096, help="Length of its vectors.")],
    address: options.Address = options.ADDRESS,
    timeout: options.Timeout = options.TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """Declare a vector space; one that is there with this dimension is left as it is."""
    with LongtailClient(address, timeout=timeout) as client:
        response = client.create_vector_space(name, dimension)
    if as_json:
        output.print_message(response)
    else:
        output.console().print(f"{name} has vectors of {dimension} numbers", markup=False)


@app.command("list")
def list_vector_spaces(
    address: options.Address = options.ADDRESS,
    timeout: options.Timeout = options.TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """List the vector spaces, and how many items have a vector in each."""
    with LongtailClient(address, timeout=timeout) as client:
        response = client.list_vector_spaces()
    if as_json:
        output.print_message(response)
        return
    columns = [("name", False), ("dimension", True), ("items", True)]
    rows = [
        (each.name, str(each.dimension), f"{each.item_count:,}") for each in response.vector_spaces
    ]
    output.console().print(output.table(columns, rows))


@app.command("delete")
def delete_vector_space(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    address: options.Address = options.ADDRESS,
    timeout: options.Timeout = options.TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """Delete a vector space and the items' vectors in it; the items stay."""
    if not yes:
        typer.confirm(f"delete {name} and the vectors of all items in it?", abort=True, err=True)
    with LongtailClient(address, timeout=timeout) as client:
        response = client.delete_vector_space(name)
    if as_json:
        output.print_message(response)
    else:
        output.console().print(f"deleted {name}", markup=False)
