"""What is asked, in which order: each scenario is an endless row of operations."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate, count, cycle
from typing import TypeVar

from google.protobuf.message import Message
from longtail.v1.filter_pb2 import Filter
from longtail.v1.interaction_service_pb2 import Interaction, WriteInteractionsRequest
from longtail.v1.item_pb2 import Item
from longtail.v1.item_service_pb2 import BatchUpsertItemsRequest
from longtail.v1.recommendation_service_pb2 import RecommendRequest

from loadtest.material import Material, MaterialError
from loadtest.open_loop import SEED

T = TypeVar("T")

# What a load test writes is known by its ids, and taken away again: so many items and persons. All
# are there after a few minutes, so that what still grows then is not the catalogue.
MARK = "loadtest-"
MARKED_ITEMS, MARKED_USERS = 100, 100
# Of ten operations of the scenario `writes` one is an event and, of fifty, one a change of an item.
EVENT_EVERY, ITEM_EVERY = 10, 50
# The n-th of the hot keys is asked for in proportion to 1 / n ** this.
SKEW = 1.1


class Scenario(StrEnum):
    """What a request holds."""

    QUERY = "query"
    PERSON = "person"
    MIXED = "mixed"
    WRITES = "writes"
    COLD = "cold"
    IMPORT = "import"
    FILTERS = "filters"
    HOT = "hot"

    @property
    def writes(self) -> bool:
        """Whether the catalogue or what is known of persons is changed."""
        return self in (Scenario.WRITES, Scenario.IMPORT)


@dataclass(frozen=True)
class Operation:
    """A call: the method, as SERVICE/METHOD, and what it is asked."""

    method: str
    request: Message


def operations(scenario: Scenario, material: Material) -> Iterator[Operation]:
    """Yield operations without end, in a random order that is the same every time.

    Raises MaterialError when there is nothing to make them from.
    """
    return _SCENARIOS[scenario](_shuffled(material))


def _query(material: Material) -> Iterator[Operation]:
    return (_recommend(query=query) for query in cycle(_some(material.queries, "queries")))


def _person(material: Material) -> Iterator[Operation]:
    return (_recommend(user_id=user) for user in cycle(_some(material.users, "persons")))


def _mixed(material: Material) -> Iterator[Operation]:
    """Yield a third each of queries, persons, and persons with a query."""
    queries, users = _some(material.queries, "queries"), _some(material.users, "persons")
    for query, user in zip(cycle(queries), cycle(users), strict=False):
        yield _recommend(query=query)
        yield _recommend(user_id=user)
        yield _recommend(query=query, user_id=user)


def _writes(material: Material) -> Iterator[Operation]:
    """Yield mixed requests, and between them events of persons of the test, and items of it."""
    events = zip(count(), cycle(marked_users()), cycle(material.items), strict=False)
    added = zip(cycle(marked_items()), cycle(material.items), strict=False)
    for number, operation in enumerate(_mixed(material), start=1):
        yield operation
        if number % EVENT_EVERY == 0:
            at, user, item = next(events)
            yield _event(at, user, item)
        if number % ITEM_EVERY == 0:
            yield _upsert(*next(added))


def _cold(material: Material) -> Iterator[Operation]:
    """Yield persons of whom nothing is known, and texts that nobody asked for before."""
    now = time.time_ns()
    for number, query in enumerate(cycle(_some(material.queries, "queries"))):
        yield _recommend(user_id=f"{MARK}{now}-{number}")
        yield _recommend(query=f"{query} {now + number}")


def _filtered(material: Material) -> Iterator[Operation]:
    """Yield queries and persons, each for the items of one value of an attribute."""
    filters = [Filter(all_of=[each]) for each in _some(material.filters, "attributes")]
    queries, users = _some(material.queries, "queries"), _some(material.users, "persons")
    for query, user, wanted in zip(cycle(queries), cycle(users), cycle(filters), strict=False):
        yield _recommend(query=query, wanted=wanted)
        yield _recommend(user_id=user, wanted=wanted)


def _hot(material: Material) -> Iterator[Operation]:
    """Yield mixed requests of which a few persons and texts make up most."""
    spread = random.Random(SEED)  # noqa: S311

    def hot(values: Sequence[str]) -> Iterator[str]:
        weights = list(accumulate(1 / rank**SKEW for rank in range(1, len(values) + 1)))
        while True:
            yield from spread.choices(values, cum_weights=weights, k=1000)

    queries = hot(_some(material.queries, "queries"))
    for query, user in zip(queries, hot(_some(material.users, "persons")), strict=False):
        yield _recommend(query=query)
        yield _recommend(user_id=user)


_SCENARIOS: dict[Scenario, Callable[[Material], Iterator[Operation]]] = {
    Scenario.QUERY: _query,
    Scenario.PERSON: _person,
    Scenario.MIXED: _mixed,
    Scenario.WRITES: _writes,
    Scenario.COLD: _cold,
    # The import runs beside them.
    Scenario.IMPORT: _mixed,
    Scenario.FILTERS: _filtered,
    Scenario.HOT: _hot,
}


def _recommend(query: str = "", user_id: str = "", wanted: Filter | None = None) -> Operation:
    request = RecommendRequest(query=query, user_id=user_id, filter=wanted)
    return Operation("RecommendationService/Recommend", request)


def _event(number: int, user: str, item: Item) -> Operation:
    event = Interaction(
        event_id=f"{MARK}{time.time_ns()}-{number}",
        user_id=user,
        item_id=item.id,
        type="view",
    )
    request = WriteInteractionsRequest(interactions=[event])
    return Operation("InteractionService/WriteInteractions", request)


def _upsert(item_id: str, item: Item) -> Operation:
    request = BatchUpsertItemsRequest(items=[copy_of(item, item_id)])
    return Operation("ItemService/BatchUpsertItems", request)


def marked_users() -> list[str]:
    """Return the persons of whom events are written."""
    return [f"{MARK}{number}" for number in range(MARKED_USERS)]


def marked_items() -> list[str]:
    """Return the ids of the items that are written one by one."""
    return [f"{MARK}{number}" for number in range(MARKED_ITEMS)]


def copy_of(item: Item, item_id: str) -> Item:
    """Return another item with the title of one, and a text that was never encoded."""
    return Item(
        id=item_id,
        title=item.title or "Of a load test",
        text=f"{item.text} {time.time_ns()}",
        attributes=item.attributes,
    )


def _shuffled(material: Material) -> Material:
    # Not for secrets: the order has to be repeatable.
    spread = random.Random(SEED)  # noqa: S311

    def shuffled(values: Sequence[T]) -> list[T]:
        return spread.sample(values, len(values))

    return Material(
        queries=shuffled(material.queries),
        users=shuffled(material.users),
        items=shuffled(material.items),
        filters=shuffled(material.filters),
    )


def _some(values: Sequence[T], name: str) -> Sequence[T]:
    if not values:
        raise MaterialError(f"there are no {name} to ask with: give a file of them, or --data")
    return values
