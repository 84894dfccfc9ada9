"""What a store should hold, and whether it does."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from longtail.client import LongtailClient
from longtail.v1.interaction_service_pb2 import Interaction
from longtail.v1.item_pb2 import Item


@dataclass
class Contents:
    """Items by id, with their vectors in vector spaces alone, and interactions by event_id."""

    items: dict[str, Item] = field(default_factory=dict)
    events: dict[str, Interaction] = field(default_factory=dict)

    def copy(self) -> "Contents":
        """Return contents that change on their own. The messages in them are never changed."""
        return Contents(dict(self.items), dict(self.events))

    def put(self, items: Iterable[Item]) -> None:
        """Take in items as they were written."""
        self.items.update({item.id: as_read(item) for item in items})

    def popularity(self) -> dict[str, float]:
        """Return the prior and the interactions of each item, added."""
        counted = {item.id: item.popularity_prior for item in self.items.values()}
        for event in self.events.values():
            if event.item_id in counted:
                counted[event.item_id] += 1
        return counted


def union(parts: Iterable[Contents]) -> Contents:
    """Return what several hold together; none has an id of another."""
    whole = Contents()
    for part in parts:
        whole.items.update(part.items)
        whole.events.update(part.events)
    return whole


def as_read(item: Item) -> Item:
    """Return an item as it is exported, but for its times and the vector in place of its text's."""
    copy = Item()
    copy.CopyFrom(item)
    for name in ("vector", "create_time", "update_time"):
        copy.ClearField(name)
    return copy


def as_shown(item: Item) -> Item:
    """Return an item as it is read and listed, but for its times."""
    copy = as_read(item)
    copy.ClearField("extra_vectors")
    return copy


def read(client: LongtailClient, users: Iterable[str]) -> Contents:
    """Return the items of a server and the interactions of `users`.

    Fails when the server counts others than it returns, such as one interaction twice.
    """
    contents = Contents()
    listed = list(client.list_items(page_size=1000))
    contents.put(client.export_items())
    assert len(contents.items) == len(listed)
    shown = {item_id: as_shown(item) for item_id, item in contents.items.items()}
    assert shown == {item.id: as_read(item) for item in listed}
    events = [
        event for user in users for event in client.list_interactions(user_id=user, page_size=1000)
    ]
    contents.events = {event.event_id: event for event in events}
    assert len(contents.events) == len(events)
    stats = client.catalog_stats()
    assert stats.item_count == len(listed)
    assert stats.interaction_count == len(events)
    assert stats.user_count == len({event.user_id for event in events})
    assert stats.head.item_count + stats.mid.item_count + stats.tail.item_count == len(listed)
    return contents
