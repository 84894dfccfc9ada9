"""Builders for the messages that are awkward to write by hand."""

import array
import sys
import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime

from longtail.client.calls.built import built
from longtail.v1.filter_pb2 import Condition, Filter
from longtail.v1.interaction_service_pb2 import Interaction
from longtail.v1.item_pb2 import NamedVector
from longtail.v1.recommendation_service_pb2 import Example, Pin, Rule

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
    space: str = "",
    weight: float | None = None,
) -> Example:
    """Return something to be near to (`weight` above zero, 1 when None) or far from (below zero).

    Exactly one of `item_id`, `text` and `vector` must be given; ValueError otherwise. `space` is
    the vector space that the vector is of, or whose vector of the item is meant.
    """
    if sum(kind is not None for kind in (item_id, text, vector)) != 1:
        raise ValueError("an example is exactly one of item_id, text and vector")
    return Example(
        item_id=item_id,
        text=text,
        vector=None if vector is None else pack_vector(vector),
        space=space,
        weight=weight,
    )


def named_vectors(vectors: Mapping[str, Vector]) -> list[NamedVector]:
    """Return the `extra_vectors` of an item: vectors, lists or arrays, by their vector spaces."""
    return [NamedVector(name=name, vector=pack_vector(vector)) for name, vector in vectors.items()]


def pin(item_id: str, position: int, *, name: str = "") -> Rule:
    """Return the rule that puts an item to a place of the first page, from 1.

    `name` (at most 64 characters) finds the rule again in explanations; so with the other rules.
    """
    return Rule(name=name, pin=Pin(item_id=item_id, position=position))


def boost(
    factor: float,
    *,
    where: Filter | Condition | None = None,
    item_ids: Iterable[str] = (),
    name: str = "",
) -> Rule:
    """Return the rule that multiplies the odds of relevance by `factor`, above 1 to 1,000.

    It is for the items that pass `where`, or for those of `item_ids`; ValueError without either.
    """
    rule = _rule_for(where, item_ids, name)
    rule.boost = factor
    return rule


def bury(
    factor: float,
    *,
    where: Filter | Condition | None = None,
    item_ids: Iterable[str] = (),
    name: str = "",
) -> Rule:
    """Return the rule that divides the odds of relevance by `factor`, above 1 to 1,000.

    It is for the items that pass `where`, or for those of `item_ids`; ValueError without either.
    """
    rule = _rule_for(where, item_ids, name)
    rule.bury = factor
    return rule


def interaction(
    user_id: str,
    item_id: str,
    type: str,
    *,
    value: float | None = None,
    time: datetime | None = None,
    query: str = "",
    recommendation_token: str = "",
    event_id: str = "",
) -> Interaction:
    """Return one thing that one person did with one item.

    `value` (-1,000 to 1,000) is how much it speaks for the item, 1 when None. `time` is UTC when it
    has no zone, and when None the moment that the server receives it. `recommendation_token` is
    that of the list which led to it; one that the server does not know is left out, and told.
    `event_id` is made up when empty: give your own where the same event could be recorded by two
    calls.
    """
    return built(
        Interaction,
        event_id=event_id or str(uuid.uuid4()),
        user_id=user_id,
        item_id=item_id,
        type=type,
        value=value,
        time=time,
        query=query,
        recommendation_token=recommendation_token,
    )


def _rule_for(where: Filter | Condition | None, item_ids: Iterable[str], name: str) -> Rule:
    if isinstance(where, Condition):
        where = Filter(all_of=[where])
    rule = Rule(name=name, filter=where, item_ids=item_ids)
    if where is None and not rule.item_ids:
        raise ValueError("a rule is for the items of where or of item_ids")
    return rule
