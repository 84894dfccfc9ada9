"""`longtail import items --prune`: removes the items that the file does not have any more."""

from collections.abc import Set
from itertools import islice

import typer
from longtail.client.calls.sync import LongtailClient
from longtail.client.importing.report import ImportReport
from longtail.client.importing.rows import FileError

BATCH = 1_000
# Ids of those that are asked about.
SHOWN = 3


def remove_others(
    client: LongtailClient, named: Set[str], report: ImportReport, *, sure: bool
) -> None:
    """Remove every item that is not `named`, and count them in `report`; asks first unless `sure`.

    Raises FileError where rows were dropped, since whose they are is not known, or there are none.
    """
    if not named:
        raise FileError("nothing is removed: the file has no items, and all would go")
    if report.dropped:
        raise FileError(
            f"nothing is removed: {report.dropped_count:,} rows were dropped, and their items "
            "would go with the others"
        )
    found = [item.id for item in client.list_items(page_size=BATCH)]
    absent = [item_id for item_id in found if item_id not in named]
    if not absent:
        return
    if not sure:
        shown = ", ".join(absent[:SHOWN]) + (", ..." if len(absent) > SHOWN else "")
        typer.confirm(
            f"Remove {len(absent):,} of {len(found):,} items, which the file does not have "
            f"({shown})?",
            abort=True,
            err=True,
        )
    ids = iter(absent)
    while batch := list(islice(ids, BATCH)):
        statuses = client.delete_items(batch).statuses
        report.removed += sum(status.code == 0 for status in statuses)
