"""Writes as values: each can be sent, again and again, and says what it leaves in the store."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from google.rpc import code_pb2
from longtail.client import LongtailClient
from longtail.v1.interaction_service_pb2 import Interaction
from longtail.v1.item_pb2 import Item

from tests.faults.contents import Contents, as_read, as_shown


class Write(Protocol):
    """A write that has the same effect however often it is sent."""

    def send(self, client: LongtailClient) -> int:
        """Send it; return the revision that holds it. Fails when the answer is not as expected."""

    def apply(self, contents: Contents) -> None:
        """Do to `contents` what it does to the store."""


@dataclass(frozen=True)
class Upsert:
    """Whole items, new or not."""

    items: Sequence[Item]
    request_id: str

    def send(self, client: LongtailClient) -> int:
        reply = client.upsert_items(self.items, request_id=self.request_id)
        assert [status.code for status in reply.statuses] == [code_pb2.OK] * len(self.items)
        return reply.revision

    def apply(self, contents: Contents) -> None:
        contents.put(self.items)


@dataclass(frozen=True)
class Update:
    """Fields of an item that is there; `after` is what it is then."""

    item: Item
    fields: Sequence[str]
    after: Item
    request_id: str

    def send(self, client: LongtailClient) -> int:
        reply = client.update_item(self.item, self.fields, request_id=self.request_id)
        assert as_read(reply.item) == as_shown(self.after)
        return reply.revision

    def apply(self, contents: Contents) -> None:
        contents.put([self.after])


@dataclass(frozen=True)
class Delete:
    """Removes items, of which `present` are there."""

    ids: Sequence[str]
    present: frozenset[str]
    request_id: str

    def send(self, client: LongtailClient) -> int:
        if len(self.ids) == 1 and self.present:
            return client.delete_item(self.ids[0], request_id=self.request_id).revision
        reply = client.delete_items(self.ids, request_id=self.request_id)
        assert [status.code for status in reply.statuses] == [
            code_pb2.OK if item_id in self.present else code_pb2.NOT_FOUND for item_id in self.ids
        ]
        return reply.revision

    def apply(self, contents: Contents) -> None:
        for item_id in self.present:
            del contents.items[item_id]


@dataclass(frozen=True)
class Record:
    """Interactions, some of which may be recorded already."""

    events: Sequence[Interaction]

    def send(self, client: LongtailClient) -> int:
        reply = client.write_interactions(self.events)
        assert [status.code for status in reply.statuses] == [code_pb2.OK] * len(self.events)
        return reply.revision

    def apply(self, contents: Contents) -> None:
        for event in self.events:
            contents.events.setdefault(event.event_id, event)


@dataclass(frozen=True)
class Forget:
    """Removes the interactions of a person."""

    user_id: str

    def send(self, client: LongtailClient) -> int:
        return client.delete_user_data(self.user_id).revision

    def apply(self, contents: Contents) -> None:
        for event_id, event in list(contents.events.items()):
            if event.user_id == self.user_id:
                del contents.events[event_id]
