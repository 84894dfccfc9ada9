"""What goes into the store and comes out of it. Times are microseconds since the epoch, UTC."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from longtail.server.store.decay import DecayedSum
from numpy.typing import NDArray

Vector = NDArray[np.float32]
# Of an item that has none in any space.
NO_VECTORS: Mapping[Any, Vector] = MappingProxyType({})

FLOAT32 = np.dtype("<f4")
# Before every moment: when a decision that is none, or counts for ever, ends.
NO_TERM = -(2**63)


class State(IntEnum):
    """Whether an item may be recommended; numbered as `longtail.v1.State`."""

    ACTIVE = 1
    HIDDEN = 2
    IN_REVIEW = 3


class DecisionKind(IntEnum):
    """What is decided about an item; numbered as `longtail.v1.DecisionKind`."""

    APPROVE = 1
    HIDE = 2
    PENALISE = 3
    SUBMIT = 4
    BLOCK = 5


class OperationKind(IntEnum):
    """What an operation does; numbered as `longtail.v1.OperationKind`."""

    REBUILD_INDEX = 1
    CREATE_SNAPSHOT = 2
    VERIFY_SNAPSHOT = 3
    ERASE_USER_DATA = 4


class OperationState(IntEnum):
    """How far an operation has come; numbered as `longtail.v1.OperationState`."""

    PENDING = 1
    RUNNING = 2
    SUCCEEDED = 3
    FAILED = 4


@dataclass(frozen=True)
class EncoderBinding:
    """An encoder, as the workers name it."""

    model_id: str
    dimension: int


@dataclass(frozen=True)
class BoundEncoder:
    """An encoder that the store has, or is getting, vectors of; no other ever has its id."""

    id: int
    binding: EncoderBinding


@dataclass(frozen=True)
class VectorSpace:
    """A space beside the encoder's that items can have vectors in; no other ever has its id."""

    id: int
    name: str
    dimension: int


@dataclass(frozen=True)
class ItemContent:
    """An item as its writer gave it; `attributes` is a JSON object.

    It is available from `available_from` until just before `available_until`; None is no bound.
    """

    id: str
    title: str
    text: str
    attributes: Mapping[str, Any]
    prior: float
    state: State = State.ACTIVE
    available_from: int | None = None
    available_until: int | None = None
    penalty: float = 0.0


@dataclass(frozen=True)
class NewItem:
    """An item to be written, with its unit vector (d,); `vector_given` when it is the caller's.

    `vector` is None where there is no text to make one of. `extra_vectors` are those in other
    spaces, of unit length too.
    """

    content: ItemContent
    vector: Vector | None
    vector_given: bool
    extra_vectors: Mapping[VectorSpace, Vector] = field(default_factory=lambda: NO_VECTORS)


@dataclass(frozen=True)
class StoredItem:
    """An item as it stands; `revision` is that of this version of it."""

    content: ItemContent
    create_time: int
    update_time: int
    revision: int
    vector_given: bool


@dataclass(frozen=True)
class NewDecision:
    """What is decided about items: by whom, why, and until when, or for ever."""

    kind: DecisionKind
    penalty: float
    author: str
    reason: str
    expire_time: int | None


@dataclass(frozen=True)
class Decision:
    """What was decided about an item at a `time`; `in_force` when it counts now."""

    revision: int
    item_id: str
    kind: DecisionKind
    penalty: float
    author: str
    reason: str
    time: int
    expire_time: int | None
    in_force: bool


class Ruling(NamedTuple):
    """What counts of a decision. A tuple: those in force are held in memory."""

    revision: int
    kind: DecisionKind
    penalty: float


class Rulings(NamedTuple):
    """The decisions about an item that count: a temporary one until just before `term`, if any."""

    standing: Ruling | None
    temporary: Ruling | None = None
    term: int = NO_TERM

    def at(self, moment: int) -> Ruling | None:
        """Return the one that counts at a moment; None where what was written does."""
        return self.temporary if moment < self.term else self.standing


class RulingsChange(NamedTuple):
    """The decisions about an item that count by now."""

    item_id: str
    rulings: Rulings


@dataclass(frozen=True)
class EncodedText:
    """The text that the encoder made an item's vector (d,) from."""

    title: str
    text: str
    vector: Vector


@dataclass(frozen=True)
class PendingText:
    """The text of an item's version that an encoder has no vector of yet.

    `vector_given` when the item has one of its own, of another encoder.
    """

    id: str
    revision: int
    title: str
    text: str
    vector_given: bool


@dataclass(frozen=True)
class Interaction:
    """Something that a person did; `recommendation_token` names the list that led to it, if any."""

    event_id: str
    user_id: str
    item_id: str
    type: str
    value: float
    time: int
    query: str
    recommendation_token: str = ""


class PastInteraction(NamedTuple):
    """What a person's history says of one item. A tuple: many persons' are held in memory."""

    item_id: str
    type: str
    value: float
    time: int
    event_id: str


@dataclass(frozen=True)
class PersonRecord:
    """A person as of a revision: the latest that they did, latest first, and all they met with.

    Those of one moment are ordered by event_id. `met`: items and types, one for each interaction.
    """

    revision: int
    history: tuple[PastInteraction, ...]
    met: Sequence[tuple[str, str]]


class Deed(NamedTuple):
    """What a person, by hash, did at a revision."""

    person: bytes
    revision: int
    past: PastInteraction


@dataclass(frozen=True)
class Activity:
    """What was done until a revision: who was forgotten and when, by hash; then what persons did.

    `deeds` are in the order of their revisions, and within one of their times. Whoever was
    forgotten did them afterwards: what they did before is in no store any more. `expired`: whether
    something was deleted by its age, of anybody.
    """

    revision: int
    forgotten: Sequence[tuple[bytes, int]]
    deeds: Sequence[Deed]
    expired: bool = False


# Not frozen: a start reads one for every item of the catalogue, and freezing doubles their cost.
@dataclass(slots=True)
class ItemChange:
    """The current version of an item, as a view needs it.

    `vector` (d,) is None when the item was removed, when the encoder asked for has none of it, and
    when vectors were not asked for. `extra_vectors`, of unit length, are those in the spaces beside
    the encoder's, by name; empty in the first and the last of these cases.
    """

    id: str
    revision: int
    removed: bool
    title: str
    prior: float
    state: State
    available_from: int | None
    available_until: int | None
    attributes: Mapping[str, Any]
    vector: Vector | None
    penalty: float = 0.0
    content_revision: int = 0
    text: str = ""
    extra_vectors: Mapping[str, Vector] = field(default_factory=lambda: NO_VECTORS)


# Not frozen for the same reason, and the next one too.
@dataclass(slots=True)
class TypeCount:
    """An item's interactions of one type: how many there are, and their decayed sum."""

    type: str
    interactions: int
    total: DecayedSum


@dataclass(slots=True)
class PopularityChange:
    """The interactions of an item as they are counted now."""

    item_id: str
    types: Sequence[TypeCount]


@dataclass(frozen=True)
class PopularityDecay:
    """How popularity decays: by half with each `half_life`, microseconds or inf.

    What interactions add up to is meant as of the `newest` of all.
    """

    half_life: float
    newest: int


class Opinions(NamedTuple):
    """What persons think of items, in its order: they like one, or, below zero, do not."""

    user_ids: Sequence[str]
    item_ids: Sequence[str]
    values: Sequence[float]


@dataclass(frozen=True)
class Impression:
    """An item of a recommended list that a person was shown, at a `position` from 1.

    `relevance_loss` is that of the list, and `propensity` how likely the item was to be listed.
    """

    list_id: bytes
    item_id: str
    position: int
    user_id: str
    time: int
    relevance_loss: float
    propensity: float


@dataclass(frozen=True)
class ExposureChange:
    """How much an item was shown of late, by now: impressions that decay by `half_life`."""

    item_id: str
    total: DecayedSum
    half_life: float


@dataclass(frozen=True)
class ShownItem:
    """An item's impressions in a span of time.

    `list_share` adds up, over the lists that it was shown in, its share of what was shown of each.
    """

    item_id: str
    impressions: int
    list_share: float


@dataclass(frozen=True)
class ShownLists:
    """What was shown in a span of time; `relevance_loss` is the mean over the lists."""

    items: Sequence[ShownItem]
    impressions: int
    lists: int
    relevance_loss: float


@dataclass(frozen=True)
class Responses:
    """Impressions, and the interactions that came from recommended lists."""

    impressions: int
    interactions: int


@dataclass(frozen=True)
class Position:
    """How far the store has come: its last revision, and the encoder at that revision."""

    revision: int
    encoder_id: int | None


@dataclass(frozen=True)
class RecordedRequest:
    """A request that was answered: its method, the digest of what it asked, and the reply."""

    method: str
    digest: bytes
    reply: bytes


@dataclass(frozen=True)
class Operation:
    """Something that goes on in the background; `error_code` is a gRPC status, 0 without error.

    `refused` counts the items that it passed over. `refusals` are the first ones: by id, a JSON
    object with the `code` and `message` of a gRPC status.
    """

    id: str
    kind: OperationKind
    state: OperationState
    done: int
    total: int
    error_code: int
    error_message: str
    arguments: Mapping[str, Any]
    snapshot_id: str
    create_time: int
    update_time: int
    refused: int = 0
    refusals: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Forgotten:
    """What was removed of a person, and the revision that holds that."""

    interactions: int
    impressions: int
    revision: int


@dataclass(frozen=True)
class Counts:
    """How much the store holds."""

    items: int
    interactions: int
    users: int


def encode_vector(vector: Vector) -> bytes:
    """Return a vector (d,) as it is stored: little-endian float32."""
    return vector.astype(FLOAT32, copy=False).tobytes()


def decode_vector(data: bytes) -> Vector:
    """Return a stored vector (d,)."""
    return np.frombuffer(data, FLOAT32)
