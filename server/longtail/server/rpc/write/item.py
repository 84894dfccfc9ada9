"""From stored items to messages."""

from collections.abc import Iterable, Iterator

from google.protobuf import timestamp_pb2
from longtail.server.store.records import StoredItem
from longtail.v1 import item_pb2

# Every gRPC client takes 4 MiB if it is not told otherwise; items at their limits would pass that.
PAGE_BYTES = 3 * 2**20


def item_message(stored: StoredItem) -> item_pb2.Item:
    """Return an item, without its vector."""
    content = stored.content
    message = item_pb2.Item(
        id=content.id,
        title=content.title,
        text=content.text,
        popularity_prior=content.prior,
        create_time=_timestamp(stored.create_time),
        update_time=_timestamp(stored.update_time),
        state=item_pb2.State.Name(content.state),
        penalty=content.penalty,
    )
    if content.attributes:
        message.attributes.update(content.attributes)
    if content.available_from is not None:
        message.available_from.FromMicroseconds(content.available_from)
    if content.available_until is not None:
        message.available_until.FromMicroseconds(content.available_until)
    return message


def pages(items: Iterable[StoredItem]) -> Iterator[list[item_pb2.Item]]:
    """Yield items in pages that fit into a message."""
    page: list[item_pb2.Item] = []
    size = 0
    for stored in items:
        message = item_message(stored)
        length = message.ByteSize()
        if page and size + length > PAGE_BYTES:
            yield page
            page, size = [], 0
        page.append(message)
        size += length
    if page:
        yield page


def _timestamp(microseconds: int) -> timestamp_pb2.Timestamp:
    message = timestamp_pb2.Timestamp()
    message.FromMicroseconds(microseconds)
    return message
