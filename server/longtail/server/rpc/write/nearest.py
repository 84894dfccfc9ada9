"""What of the person's history and of the examples an item is most like, and in what."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from longtail.server.catalogue.columns.columns import NO_ROW
from longtail.server.recommend.pool import NO_POSITION, Ints, Liked, Matrix
from longtail.server.store.records import StoredItem
from longtail.v1 import recommendation_service_pb2 as pb

MAX_MATCHING = 10
# An attribute that is longer, in characters, is a text and says nothing at a glance.
MAX_MATCH = 200


@dataclass(frozen=True)
class Nearest:
    """What an item is most like: an item of the catalogue, or, where `item_id` is empty, none.

    `position`: in the request's examples, NO_POSITION for an item of the history. `cosine`: above
    zero.
    """

    item_id: str
    position: int
    cosine: float


def nearest(liked: Liked, vectors: Matrix, rows: Ints) -> list[Nearest | None]:
    """Return what items with these `vectors` (n, d), in `rows` (n,), are most like.

    None for an item that is like nothing; none is compared with itself.
    """
    if not len(liked.vectors):
        return [None] * len(rows)
    cosines = vectors @ liked.vectors.T
    itself = (rows[:, None] == liked.rows) & (liked.rows != NO_ROW)
    cosines[itself] = -np.inf
    found = cosines.argmax(axis=1)
    return [
        Nearest(liked.item_ids[at], liked.positions[at], float(cosine)) if cosine > 0 else None
        for at, cosine in zip(found.tolist(), cosines.max(axis=1), strict=True)
    ]


def item_ids(found: Sequence[Nearest | None]) -> set[str]:
    """Return the items of the catalogue among `found`."""
    return {each.item_id for each in found if each is not None and each.item_id}


class Likenesses:
    """Says in results what they are most like, with titles and attributes of `items`."""

    def __init__(self, items: Mapping[str, StoredItem]) -> None:
        self._items = items
        # Many results are most like the same few items.
        self._pairs: dict[str, frozenset[str]] = {}

    def describe(self, result: pb.Recommendation, found: Nearest | None) -> None:
        """Say what a result is most like, and in what; nothing where that is None."""
        if found is None:
            return
        message = result.nearest_example
        message.item_id = found.item_id
        message.similarity = found.cosine
        if found.position != NO_POSITION:
            message.example = found.position
        like, item = self._items.get(found.item_id), self._items.get(result.item_id)
        if like is not None:
            message.title = like.content.title
            if item is not None:
                of_like = self._pairs.get(found.item_id)
                if of_like is None:
                    of_like = attribute_pairs(like.content.attributes)
                    self._pairs[found.item_id] = of_like
                result.matching_attributes.extend(
                    matching(attribute_pairs(item.content.attributes), of_like)
                )


def matching(pairs: frozenset[str], others: frozenset[str]) -> list[str]:
    """Return what two items share, in the order of the alphabet, MAX_MATCHING at most."""
    return sorted(pairs & others)[:MAX_MATCHING]


def attribute_pairs(attributes: Mapping[str, Any]) -> frozenset[str]:
    """Return a JSON object as `field=value`, by dotted path; a list has one for each element."""
    return frozenset(pair for pair in _pairs(attributes) if len(pair) <= MAX_MATCH)


def _pairs(value: Any, path: str = "") -> Iterator[str]:  # noqa: ANN401 (JSON)
    if isinstance(value, str):
        yield f"{path}={value}"
    elif isinstance(value, list):
        for element in value:
            yield from _pairs(element, path)
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _pairs(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, bool):
        yield f"{path}={'true' if value else 'false'}"
    elif value is not None:
        # Every number is a float, and a year is better without its ".0".
        yield f"{path}={str(value).removesuffix('.0')}"
