"""Import a file of the form `user_id,item_id,item_description,query`: items, and who met with them.

Run it beside `make serve`: `.venv/bin/python examples/import_article.py article.csv`. Running it
again changes nothing.
"""

import csv
import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path

from longtail.client import LongtailClient, interaction
from longtail.v1.import_refusal_pb2 import ImportRefusal
from longtail.v1.interaction_service_pb2 import Interaction
from longtail.v1.item_pb2 import Item


def main(path: Path) -> None:
    """Import the items of a file, then its interactions, and say what came of them."""
    with path.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    # Of an item that comes more than once the first description counts.
    items = {row["item_id"]: item(row) for row in reversed(rows)}
    with LongtailClient() as client:
        answer = client.import_items(items.values())
        print(f"items: {answer.imported_count} imported, {answer.refused_count} refused")
        report(answer.refusals)
        met = client.import_interactions(map(event, rows))
    print(f"interactions: {met.imported_count} new, {met.duplicate_count} known before")
    report(met.refusals)


def item(row: dict[str, str]) -> Item:
    """Return the item of a row; its description is what is encoded."""
    return Item(id=row["item_id"], text=row["item_description"])


def event(row: dict[str, str]) -> Interaction:
    """Return the interaction of a row, under an id that is the same whenever it is imported."""
    values = "\n".join((row["user_id"], row["item_id"], row["query"]))
    return interaction(
        row["user_id"],
        row["item_id"],
        "query",
        query=row["query"],
        event_id=hashlib.sha256(values.encode()).hexdigest(),
    )


def report(refusals: Iterable[ImportRefusal]) -> None:
    """Print the first refusals, each with what is wrong."""
    for refusal in refusals:
        print(f"  {refusal.id}: {refusal.status.message}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
