"""What the commands about several items say of those that there are not."""

from collections.abc import Sequence

import grpc
import typer
from google.rpc.status_pb2 import Status
from longtail.client.calls.errors import error_from_status
from longtail.client.cli import output

SOME_MISSING = 1


def missing_of(item_ids: Sequence[str], statuses: Sequence[Status]) -> list[str]:
    """Return the ids whose status is NOT_FOUND; raise what any other failure is."""
    missing = []
    for item_id, status in zip(item_ids, statuses, strict=True):
        error = error_from_status(status)
        if error is not None and error.code is not grpc.StatusCode.NOT_FOUND:
            raise error
        if error is not None:
            missing.append(item_id)
    return missing


def report_missing(item_ids: Sequence[str]) -> None:
    """Complain of items that there are not, and exit with SOME_MISSING."""
    if item_ids:
        output.complain(f"no item {', '.join(map(repr, item_ids))}")
        raise typer.Exit(SOME_MISSING)
