"""What requests are made from: texts, persons and items, of files or of the running server."""

import csv
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from longtail.client import AsyncLongtailClient
from longtail.client.calls.attributes import attributes_of
from longtail.client.calls.filters import where
from longtail.v1.filter_pb2 import Condition
from longtail.v1.item_pb2 import Item

# Enough that no two requests near to each other are alike.
CATALOGUE_ITEMS = 2_000
DEMO_USERS = 943
# Of the values that attributes have, the commonest so many are filtered by.
FILTERS = 20
TITLE_WORDS = 12


class MaterialError(Exception):
    """There are no queries, no persons or no items to make requests from."""


@dataclass(frozen=True)
class Material:
    """Texts to ask with, persons to ask for, items that the server has, and filters that fit."""

    queries: Sequence[str]
    users: Sequence[str]
    items: Sequence[Item]
    filters: Sequence[Condition]


async def gather(
    client: AsyncLongtailClient, data: Path | None, queries: Path | None, users: Path | None
) -> Material:
    """Return what there is to ask with.

    The files come first, then `queries.csv`, `items.csv` and `interactions.csv` of the folder
    `data`; the rest is of the server, whose persons are taken for those of the demo. Raises
    MaterialError, and LongtailError when the server does not answer.
    """
    held = [item async for item in _first(client)]
    if not held:
        raise MaterialError("the catalogue is empty: import items first")
    texts = _column(queries, data, ("queries.csv", "query"), ("items.csv", "title"))
    persons = _column(users, data, ("interactions.csv", "user_id"))
    return Material(
        queries=texts or list(dict.fromkeys(filter(None, map(_title, held)))),
        users=persons or [str(number) for number in range(1, DEMO_USERS + 1)],
        items=held,
        filters=_filters(held),
    )


def read_column(file: Path, column: str) -> list[str]:
    """Return the distinct values of `column` of a .csv file, else the lines of the file.

    Raises MaterialError where there are none.
    """
    with file.open(encoding="utf-8-sig", newline="") as text:
        if file.suffix == ".csv":
            rows = csv.DictReader(text)
            if column not in (rows.fieldnames or ()):
                raise MaterialError(f"{file} has no column {column!r}")
            values = [row[column] or "" for row in rows]
        else:
            values = text.read().splitlines()
    distinct = list(dict.fromkeys(value.strip() for value in values if value.strip()))
    if not distinct:
        raise MaterialError(f"{file} holds nothing")
    return distinct


def _column(file: Path | None, data: Path | None, *sources: tuple[str, str]) -> list[str]:
    """Return what a file holds, else the first of the `sources` that the folder has."""
    if file is not None:
        return read_column(file, sources[0][1])
    for name, column in sources:
        if data is not None and (data / name).exists():
            return read_column(data / name, column)
    return []


async def _first(client: AsyncLongtailClient) -> AsyncIterator[Item]:
    number = 0
    async for item in client.list_items(page_size=1_000):
        yield item
        number += 1
        if number == CATALOGUE_ITEMS:
            return


def _title(item: Item) -> str:
    return item.title or " ".join(item.text.split()[:TITLE_WORDS])


def _filters(items: Sequence[Item]) -> list[Condition]:
    """Return conditions on the values of attributes that most items have."""
    counts = Counter(chain.from_iterable(map(_values, items)))
    return [where(name).equals(value) for (name, value), _ in counts.most_common(FILTERS)]


def _values(item: Item) -> list[tuple[str, str]]:
    found = []
    for name, value in attributes_of(item).items():
        each = value if isinstance(value, list) else [value]
        found += [(name, one) for one in each if isinstance(one, str)]
    return found
