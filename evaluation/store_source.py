"""The data of a running server as a data set: its store, read while it serves."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from evaluation.dataset import Dataset, DatasetError, Dropped
from server.store.record_store import RecordStore
from server.store.records import Interaction, StoredItem

PAGE = 5000
MICROSECONDS = 1e6


def read_store(path: Path) -> Dataset:
    """Read a store's items and interactions; the value of an interaction is its rating.

    An item that somebody met with several times counts once, as it was last. Raises DatasetError
    when there is nothing to go by.
    """
    store = RecordStore.open(path)
    try:
        items = list(_items(store))
        number_of = {item.content.id: at for at, item in enumerate(items)}
        latest: dict[tuple[str, str], Interaction] = {}
        for event in store.interactions.all():
            if event.item_id in number_of:
                latest[event.user_id, event.item_id] = event
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


def _items(store: RecordStore) -> Iterator[StoredItem]:
    after = ""
    while page := store.items.list_page(after=after, limit=PAGE):
        yield from page
        after = page[-1].content.id
