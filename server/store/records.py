"""What goes into the store and comes out of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]

FLOAT32 = np.dtype("<f4")


@dataclass(frozen=True)
class EncoderBinding:
    """The encoder whose vectors the catalogue holds."""

    model_id: str
    dimension: int


@dataclass(frozen=True)
class ItemContent:
    """An item as its writer gave it; `attributes` is a JSON object."""

    id: str
    title: str
    text: str
    attributes: Mapping[str, Any]
    prior: float


@dataclass(frozen=True)
class NewItem:
    """An item to be written, with its unit vector (d,); `vector_given` when it is the caller's."""

    content: ItemContent
    vector: Vector
    vector_given: bool


@dataclass(frozen=True)
class StoredItem:
    """An item as it stands; times are microseconds since the epoch."""

    content: ItemContent
    create_time: int
    update_time: int


@dataclass(frozen=True)
class EncodedText:
    """The text that the encoder made an item's vector (d,) from."""

    title: str
    text: str
    vector: Vector


@dataclass(frozen=True)
class Interaction:
    """Something that a person did; `time` is microseconds since the epoch."""

    event_id: str
    user_id: str
    item_id: str
    type: str
    value: float
    time: int
    query: str


@dataclass(frozen=True)
class PastInteraction:
    """What a person's history says of one item."""

    item_id: str
    type: str
    value: float


@dataclass(frozen=True)
class ItemChange:
    """The current version of an item, as a view needs it; `vector` is None when it was removed."""

    id: str
    revision: int
    vector: Vector | None
    prior: float


@dataclass(frozen=True)
class PopularityChange:
    """The interactions of an item as they are counted now."""

    item_id: str
    revision: int
    interactions: int


@dataclass(frozen=True)
class Counts:
    """How much the store holds."""

    items: int
    interactions: int
    users: int


def encode_vector(vector: Vector) -> bytes:
    """Return a vector (d,) as it is stored: little-endian float32."""
    return vector.astype(FLOAT32).tobytes()


def decode_vector(data: bytes) -> Vector:
    """Return a stored vector (d,)."""
    return np.frombuffer(data, FLOAT32)
