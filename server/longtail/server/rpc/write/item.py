"""From stored items to messages."""

from collections.abc import Iterable, Iterator, Mapping

from google.protobuf import timestamp_pb2
from longtail.server.store.records import StoredItem, Vector, VectorSpace, encode_vector
from longtail.v1 import item_pb2

# Every gRPC client takes 4 MiB if it is not told otherwise; items at their limits would pass that.
PAGE_BYTES = 3 * 2**20


def item_message(stored: StoredItem) -> item_pb2.Item:
    """Return an item, without its vectors."""
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


def item_with_vectors(
    stored: StoredItem, own: Vector | None, extra: Mapping[VectorSpace, Vector]
) -> item_pb2.Item:
    """Return an item with the vectors (d,) that were given with it: its `own`, and in spaces."""
    message = item_message(stored)
    if own is not None:
        message.vector = encode_vector(own)
    for space in sorted(extra, key=lambda each: each.name):
        message.extra_vectors.add(name=space.name, vector=encode_vector(extra[space]))
    return message


def pages(messages: Iterable[item_pb2.Item]) -> Iterator[list[item_pb2.Item]]:
    """Yield items in pages that fit into a message."""
    page: list[item_pb2.Item] = []
    size = 0
    for message in messages:
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
