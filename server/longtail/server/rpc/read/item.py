"""From an item as it is sent to one that can be written."""

from collections.abc import Mapping

import numpy as np
from longtail.runtime.errors import InvalidArgument, Violation
from longtail.server.rpc.read.fields import (
    check_id,
    check_number,
    check_text,
    microseconds,
    unit_vector,
)
from longtail.server.rpc.read.item_attributes import attributes_object
from longtail.server.rpc.read.spaces import Spaces, extra_vectors
from longtail.server.store.records import NO_VECTORS, ItemContent, State, Vector, VectorSpace
from longtail.server.write.item_draft import ItemDraft
from longtail.v1 import item_pb2

MAX_TITLE = 1000
MAX_TEXT = 20_000
MAX_PRIOR = float(np.finfo(np.float32).max)

STATES = {
    item_pb2.STATE_UNSPECIFIED: State.ACTIVE,
    item_pb2.STATE_ACTIVE: State.ACTIVE,
    item_pb2.STATE_HIDDEN: State.HIDDEN,
    item_pb2.STATE_IN_REVIEW: State.IN_REVIEW,
}


def item_draft(
    item: item_pb2.Item,
    dimension: int,
    spaces: Spaces,
    *,
    needs_content: bool = True,
    kept: Mapping[VectorSpace, Vector] = NO_VECTORS,
) -> ItemDraft:
    """Return the item to be written; one that `needs_content` has words or a vector to be found by.

    `kept` are the vectors (d,) in other spaces of one that comes with none.
    """
    check_id("id", item.id)
    check_text("title", item.title, MAX_TITLE)
    check_text("text", item.text, MAX_TEXT)
    prior = check_number("popularity_prior", item.popularity_prior, 0, MAX_PRIOR)
    penalty = check_number("penalty", item.penalty, 0, 1)
    vector = unit_vector("vector", item.vector, dimension) if item.vector else None
    extra = extra_vectors(item, spaces) or kept
    if needs_content and vector is None and not (item.title or item.text or extra):
        problem = "is empty, and so are title, vector and extra_vectors"
        raise InvalidArgument(Violation("text", problem))
    state = STATES.get(item.state)
    if state is None:
        raise InvalidArgument(Violation("state", f"is {item.state}, which is no state"))
    available_from, available_until = _window(item)
    content = ItemContent(
        id=item.id,
        title=item.title,
        text=item.text,
        attributes=attributes_object(item.attributes) if item.HasField("attributes") else {},
        prior=prior,
        state=state,
        available_from=available_from,
        available_until=available_until,
        penalty=penalty,
    )
    return ItemDraft(content, vector, extra)


def _window(item: item_pb2.Item) -> tuple[int | None, int | None]:
    start = end = None
    if item.HasField("available_from"):
        start = microseconds("available_from", item.available_from)
    if item.HasField("available_until"):
        end = microseconds("available_until", item.available_until)
        if start is not None and end <= start:
            raise InvalidArgument(Violation("available_until", "is not later than available_from"))
    return start, end
