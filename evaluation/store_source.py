"""The data of a running server as a data set: its store, read while it serves."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
from longtail.server.store.record_store import RecordStore
from longtail.server.store.records import Interaction, StoredItem

from evaluation.dataset import Dataset, DatasetError, Dropped

PAGE = 5000
MICROSECONDS = 1e6


def read_store(path: Path) -> Dataset:
    """Read a store's items and interactions; the value of an interaction is its rating.

    An item that somebody met with several times counts once, as it was last said to be: a value of
    0 says nothing. Raises DatasetError when there is nothing to go by.
    """
    _require_store(path)
    store = RecordStore.open(path)
    try:
        items = list(_items(store))
        number_of = {item.content.id: at for at, item in enumerate(items)}
        latest: dict[tuple[str, str], Interaction] = {}
        for event in store.interactions.all():
            if event.item_id not in number_of:
                continue
            with_it = event.user_id, event.item_id
            # What says nothing of taste takes back nothing that does.
            if event.value or with_it not in latest or not latest[with_it].value:
                latest[with_it] = event
    finally:
        store.close()
    if not latest:
        raise DatasetError(f"{path} holds no interaction with an item of the catalogue")
    events = list(latest.values())
    person_of = {user: at for at, user in enumerate(dict.fromkeys(e.user_id for e in events))}
    return Dataset(
        item_ids=list(number_of),
        titles=[item.content.title for item in items],
        texts=[item.content.text for item in items],
        attributes=[],
        user_ids=list(person_of),
        users=np.array([person_of[event.user_id] for event in events], np.int64),
        items=np.array([number_of[event.item_id] for event in events], np.int64),
        ratings=np.array([event.value for event in events], np.float64),
        times=np.array([event.time / MICROSECONDS for event in events], np.float64),
        split=None,
        rated=True,
        dropped=Dropped({}, {}),
    )


def _require_store(path: Path) -> None:
    """Raise DatasetError for any other file: opened as a store it would be made one."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True)) as connection:
            connection.execute("SELECT 1 FROM items, interactions LIMIT 1")
    except sqlite3.Error as error:
        raise DatasetError(f"{path} is no store of a server: {error}") from None


def _items(store: RecordStore) -> Iterator[StoredItem]:
    after = ""
    while page := store.items.list_page(after=after, limit=PAGE):
        yield from page
        after = page[-1].content.id
