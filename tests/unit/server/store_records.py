"""A store in a real file, and records to write to it, for the tests of the store."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
from longtail.server.store.group_commit import GroupCommit
from longtail.server.store.record_store import RecordStore
from longtail.server.store.records import (
    EncoderBinding,
    Interaction,
    ItemContent,
    NewItem,
    Vector,
)
from longtail.server.store.transaction import Transaction

from tests.unit.server.new_stores import open_store

T = TypeVar("T")

BINDING = EncoderBinding("tiny@1", 2)
VECTOR: Vector = np.array([0.6, 0.8], np.float32)


class Opened:
    """A store with its writer; its first encoder is bound."""

    def __init__(self, store: RecordStore, writer: GroupCommit) -> None:
        self.store = store
        self.writer = writer
        self.encoder_id = self.do(lambda tx: store.encoders.bind(tx, BINDING)).id

    def do(self, write: Callable[[Transaction], T]) -> T:
        return self.writer.submit(write).result(timeout=60)

    def upsert(self, *new_items: NewItem) -> int:
        return self.do(lambda tx: self.store.items.upsert(tx, new_items, self.encoder_id))[1]

    def remove(self, *ids: str) -> tuple[frozenset[str], int]:
        return self.do(lambda tx: self.store.items.remove(tx, ids))

    def interact(self, *events: Interaction) -> tuple[int, int]:
        return self.do(lambda tx: self.store.interactions.write(tx, events))

    @property
    def revision(self) -> int:
        return self.store.changes.position().revision

    def popularity(self) -> dict[str, int]:
        changes = self.store.changes.popularity_changes(0, self.revision)
        return {
            change.item_id: sum(each.interactions for each in change.types) for change in changes
        }

    def present(self) -> list[str]:
        return [change.id for change in self.store.changes.current()]


def vectors_in_spaces(store: RecordStore) -> dict[int, int]:
    """Return how many vectors the store has in each space, by its id, deleted ones included."""
    with closing(sqlite3.connect(store.path)) as connection:
        query = "SELECT space_id, count(*) FROM extra_vectors GROUP BY space_id"
        return dict(connection.execute(query).fetchall())


@contextmanager
def opened(
    path: Path, committed: Callable[[], None] = lambda: None, max_waiting: int = 1000
) -> Iterator[Opened]:
    store = open_store(path)
    try:
        with store.group_commit(committed, max_waiting) as writer:
            yield Opened(store, writer)
    finally:
        store.close()


def new_item(
    item_id: str, title: str = "A title", prior: float = 0.0, *, vector_given: bool = False
) -> NewItem:
    content = ItemContent(item_id, title, "A text", {"year": 1999, "tags": ["a"]}, prior)
    return NewItem(content, VECTOR, vector_given)


def event(event_id: str, item_id: str = "film", user_id: str = "ann", time: int = 0) -> Interaction:
    return Interaction(event_id, user_id, item_id, "view", 1.0, time, "")
