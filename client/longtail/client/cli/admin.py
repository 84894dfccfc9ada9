"""`longtail admin`: rebuilds, snapshots, and the operations that they are."""

import math
from typing import Annotated

import typer
from longtail.client.calls.sync import LongtailClient
from longtail.client.cli import options, output
from longtail.client.cli.progress import progress_bar
from longtail.v1.admin_service_pb2 import Operation, OperationKind, OperationState

SOME_REFUSED = 3

app = typer.Typer(no_args_is_help=True, help="Rebuild the index, make and check snapshots.")
snapshot = typer.Typer(no_args_is_help=True, help="Copies of the store on the server's disk.")
app.add_typer(snapshot, name="snapshot")

NoWait = Annotated[
    bool, typer.Option("--no-wait", help="Return when it has begun; see `admin operation`.")
]


@app.command("rebuild-index")
def rebuild_index(
    model_id: Annotated[
        str, typer.Option(help="The encoder to change to (the catalogue's own).")
    ] = "",
    no_wait: NoWait = False,
    address: options.Address = options.ADDRESS,
    timeout: options.Timeout = options.TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """Build the index anew while the old one answers; with another encoder, encode all anew.

    Exit with 3 when that makes no vector of some items, which are not found any more.
    """
    with LongtailClient(address, timeout=timeout) as client:
        operation = client.rebuild_index(model_id).operation
        _show(operation if no_wait else _followed(client, operation), as_json)


@app.command("operation")
def get_operation(
    operation_id: Annotated[str, typer.Argument(metavar="OPERATION", help="Its id.")],
    wait: Annotated[bool, typer.Option("--wait", help="Return when it has ended.")] = False,
    address: options.Address = options.ADDRESS,
    timeout: options.Timeout = options.TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """Show how far an operation has come; exit with 3 when it ended and passed over items."""
    with LongtailClient(address, timeout=timeout) as client:
        operation = client.get_operation(operation_id).operation
        _show(_followed(client, operation) if wait else operation, as_json)


@snapshot.command("create")
def create_snapshot(
    no_wait: NoWait = False,
    address: options.Address = options.ADDRESS,
    timeout: options.Timeout = options.TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """Copy the store while it serves."""
    with LongtailClient(address, timeout=timeout) as client:
        operation = client.create_snapshot().operation
        _show(operation if no_wait else _followed(client, operation), as_json)


@snapshot.command("list")
def list_snapshots(
    address: options.Address = options.ADDRESS,
    timeout: options.Timeout = options.TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """List the snapshots, the latest first."""
    with LongtailClient(address, timeout=timeout) as client:
        response = client.list_snapshots()
    if as_json:
        output.print_message(response)
        return
    columns = [
        ("snapshot", False),
        ("made", False),
        ("revision", True),
        ("items", True),
        ("interactions", True),
        ("MB", True),
        ("encoder", False),
    ]
    rows = [
        (
            each.id,
            output.moment(each.create_time),
            str(each.revision),
            f"{each.item_count:,}",
            f"{each.interaction_count:,}",
            f"{each.size_bytes / 1e6:,.1f}",
            each.model_id,
        )
        for each in response.snapshots
    ]
    table = output.table(columns, rows)
    # The other commands are given it.
    table.columns[0].no_wrap = True
    output.console().print(table)


@snapshot.command("verify")
def verify_snapshot(
    snapshot_id: Annotated[str, typer.Argument(metavar="SNAPSHOT", help="Its id.")],
    no_wait: NoWait = False,
    address: options.Address = options.ADDRESS,
    timeout: options.Timeout = options.TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """Read a snapshot whole and check it; exit with 1 when it is not what was written."""
    with LongtailClient(address, timeout=timeout) as client:
        operation = client.verify_snapshot(snapshot_id).operation
        _show(operation if no_wait else _followed(client, operation), as_json)


@snapshot.command("delete")
def delete_snapshot(
    snapshot_id: Annotated[str, typer.Argument(metavar="SNAPSHOT", help="Its id.")],
    address: options.Address = options.ADDRESS,
    timeout: options.Timeout = options.TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """Delete a snapshot, also a damaged one."""
    with LongtailClient(address, timeout=timeout) as client:
        response = client.delete_snapshot(snapshot_id)
    if as_json:
        output.print_message(response)
    else:
        output.console().print(
            f"deleted {snapshot_id}, {response.size_bytes / 1e6:,.1f} MB",
            markup=False,
            soft_wrap=True,
        )


def _followed(client: LongtailClient, operation: Operation) -> Operation:
    with progress_bar("done") as show:

        def progress(state: Operation) -> None:
            known = state.total_count > 0
            show(state.done_count / state.total_count if known else None, state.done_count)

        try:
            return client.wait_for_operation(operation.id, timeout=math.inf, progress=progress)
        except KeyboardInterrupt:
            output.complain(
                f"operation {operation.id} goes on; `longtail admin operation {operation.id} "
                "--wait` follows it"
            )
            raise


def _show(operation: Operation, as_json: bool) -> None:
    if as_json:
        output.print_message(operation)
    else:
        _show_rows(operation)
    if operation.refused_count and operation.state == OperationState.OPERATION_STATE_SUCCEEDED:
        raise typer.Exit(SOME_REFUSED)


def _show_rows(operation: Operation) -> None:
    rows = [
        ("operation", operation.id),
        ("kind", output.enum_word(OperationKind.Name(operation.kind), "OPERATION_KIND_")),
        ("state", output.enum_word(OperationState.Name(operation.state), "OPERATION_STATE_")),
        ("done", f"{operation.done_count:,} of {operation.total_count:,}"),
        ("asked for", output.moment(operation.create_time)),
        ("last heard of", output.moment(operation.update_time)),
    ]
    if operation.snapshot_id:
        rows.append(("snapshot", operation.snapshot_id))
    if operation.refused_count:
        rows.append(("items passed over", f"{operation.refused_count:,}"))
        rows += [(f"  {each.id}", each.status.message) for each in operation.refusals]
        if operation.refused_count > len(operation.refusals):
            rows.append(("  …", ""))
    if operation.error.code:
        rows.append(("error", operation.error.message))
    output.console().print(output.pairs(rows))
