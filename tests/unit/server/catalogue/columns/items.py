"""Columns of items that have nothing but an id, and a table that counts who asks it."""

from collections.abc import Iterator, Mapping, ValuesView
from typing import TypeVar

from longtail.server.catalogue.columns.columns import Columns
from longtail.server.store.records import ItemChange, State

V = TypeVar("V")


def change(item_id: str, revision: int) -> ItemChange:
    return ItemChange(item_id, revision, False, "", 0.0, State.ACTIVE, None, None, {}, None)


def filled(*item_ids: str) -> Columns:
    columns = Columns()
    columns.append([change(item_id, at) for at, item_id in enumerate(item_ids, 1)])
    return columns


class Counting(Mapping[str, V]):
    """A table that counts how often it is asked for one of its values."""

    def __init__(self, held: Mapping[str, V]) -> None:
        self.held, self.asked = held, 0

    def __getitem__(self, key: str) -> V:
        self.asked += 1
        return self.held[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.held)

    def __len__(self) -> int:
        return len(self.held)

    def values(self) -> ValuesView[V]:
        return self.held.values()
