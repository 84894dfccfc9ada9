"""The names of attributes, and how many items have each, so that they can be bounded.

Whatever answers by attributes keeps something for each name, were it that of one item.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from longtail.server.store.schema import attribute_names
from longtail.server.store.transaction import Transaction
from longtail.server.store.upsert import Insert, insert
from sqlalchemy import delete, func, select

# A longer name cannot be asked for; the contract's limit of Condition.field.
MAX_NAME = 256
# Parameters in one query.
CHUNK = 1000


def values_in(attributes: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the name, a dotted path, and the value of each attribute of a JSON object.

    A list has a value for each element. None stands for an object, and for a list without a value
    of its own; null is no value.
    """
    pending: list[tuple[str, Any]] = list(attributes.items())
    while pending:
        name, value = pending.pop()
        if len(name) > MAX_NAME or value is None:
            continue
        if isinstance(value, dict):
            yield name, None
            pending += [(f"{name}.{inner}", held) for inner, held in value.items()]
        elif isinstance(value, list):
            if not any(isinstance(element, (str, int, float)) for element in value):
                yield name, None
            pending += [(name, element) for element in value]
        else:
            yield name, value


def names_in(attributes: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of the attributes in a JSON object."""
    return frozenset(name for name, _ in values_in(attributes)) if attributes else frozenset()


def move_names(
    tx: Transaction, gone: Iterable[Mapping[str, Any]], come: Iterable[Mapping[str, Any]]
) -> None:
    """Take in that items with the attributes `gone` went, and others came."""
    moved = Counter(name for each in come for name in names_in(each))
    moved.subtract(name for each in gone for name in names_in(each))
    rows = [{"name": name, "item_count": count} for name, count in moved.items() if count]
    if rows:
        tx.execute(_MOVE, rows)
    if any(count < 0 for count in moved.values()):
        tx.execute(delete(attribute_names).where(attribute_names.c.item_count <= 0))


def unknown_names(tx: Transaction, names: Collection[str]) -> set[str]:
    """Return those of `names` that no item has."""
    unknown, waiting = set(names), iter(names)
    while chunk := list(islice(waiting, CHUNK)):
        query = select(attribute_names.c.name).where(attribute_names.c.name.in_(chunk))
        unknown.difference_update(tx.execute(query).scalars())
    return unknown


def count_names(tx: Transaction) -> int:
    """Return how many names there are."""
    return int(tx.execute(select(func.count()).select_from(attribute_names)).scalar_one())


def _move() -> Insert:
    statement = insert(attribute_names)
    moved = {"item_count": attribute_names.c.item_count + statement.excluded.item_count}
    return statement.on_conflict_do_update(index_elements=["name"], set_=moved)


_MOVE = _move()
