"""What is asked: queries, persons, or both, from files or from what the running server holds."""

import csv
import random
from collections.abc import AsyncIterator, Sequence
from enum import StrEnum
from pathlib import Path

from longtail.client import AsyncLongtailClient
from longtail.v1.recommendation_service_pb2 import RecommendRequest

# Enough that no two requests near to each other are alike.
CATALOGUE_TITLES = 2_000
DEMO_USERS = 943
SEED = 20_260_101


class Scenario(StrEnum):
    """What a request holds."""

    QUERY = "query"
    PERSON = "person"
    MIXED = "mixed"


class ScenarioError(Exception):
    """There are no queries or no persons to make requests from."""


def make_requests(
    scenario: Scenario, queries: Sequence[str], users: Sequence[str]
) -> list[RecommendRequest]:
    """Return requests in a random order that is the same every time.

    A mixed scenario is a third each of queries, persons, and persons with a query.
    """
    # Not for secrets: the order has to be repeatable.
    shuffled = random.Random(SEED)  # noqa: S311
    queries, users = list(queries), list(users)
    shuffled.shuffle(queries)
    shuffled.shuffle(users)
    if scenario is Scenario.QUERY:
        return [RecommendRequest(query=query) for query in queries]
    if scenario is Scenario.PERSON:
        return [RecommendRequest(user_id=user) for user in users]
    requests = []
    for number in range(max(len(queries), len(users))):
        query, user = queries[number % len(queries)], users[number % len(users)]
        requests += [
            RecommendRequest(query=query),
            RecommendRequest(user_id=user),
            RecommendRequest(query=query, user_id=user),
        ]
    return requests


def read_column(file: Path, column: str) -> list[str]:
    """Return the distinct values of `column` of a .csv file, else the lines of the file."""
    with file.open(encoding="utf-8-sig", newline="") as text:
        if file.suffix == ".csv":
            rows = csv.DictReader(text)
            if column not in (rows.fieldnames or ()):
                raise ScenarioError(f"{file} has no column {column!r}")
            values = [row[column] or "" for row in rows]
        else:
            values = text.read().splitlines()
    distinct = list(dict.fromkeys(value.strip() for value in values if value.strip()))
    if not distinct:
        raise ScenarioError(f"{file} holds nothing")
    return distinct


async def catalogue_titles(client: AsyncLongtailClient) -> list[str]:
    """Return titles, or first words of texts, of the items that the server holds."""
    titles: dict[str, None] = {}
    async for title in _titles(client):
        titles[title] = None
        if len(titles) == CATALOGUE_TITLES:
            break
    if not titles:
        raise ScenarioError("the catalogue is empty: import items, or give --queries")
    return list(titles)


async def _titles(client: AsyncLongtailClient) -> AsyncIterator[str]:
    async for item in client.list_items(page_size=1_000):
        title = item.title or " ".join(item.text.split()[:12])
        if title:
            yield title


def demo_users() -> list[str]:
    """Return the persons of the demo: 1 to 943."""
    return [str(number) for number in range(1, DEMO_USERS + 1)]
