"""Builders for the messages that are awkward to write by hand."""

import array
import sys
from collections.abc import Iterable

from longtail.v1 import recommendation_service_pb2

Vector = bytes | Iterable[float]


def pack_vector(vector: Vector) -> bytes:
    """Return a vector as little-endian float32, as on the wire; bytes are left as they are."""
    if isinstance(vector, bytes):
        return vector
    packed = array.array("f", vector)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def example(
    *,
    item_id: str | None = None,
    text: str | None = None,
    vector: Vector | None = None,
    weight: float | None = None,
) -> recommendation_service_pb2.Example:
    """Return something to be near to (`weight` above zero, 1 when None) or far from (below zero).

    Exactly one of `item_id`, `text` and `vector` must be given; ValueError otherwise.
    """
    if sum(kind is not None for kind in (item_id, text, vector)) != 1:
        raise ValueError("an example is exactly one of item_id, text and vector")
    return recommendation_service_pb2.Example(
        item_id=item_id,
        text=text,
        vector=None if vector is None else pack_vector(vector),
        weight=weight,
    )
