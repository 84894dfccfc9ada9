"""Pins, boosts and buries."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from longtail.runtime.errors import InvalidArgument
from longtail.server.catalogue.columns.filter import Exists
from longtail.server.process.pseudonyms import Pseudonyms
from longtail.server.ranking.evidence import SIGNALS, PoolScale
from longtail.server.recommend.request import FrozenCandidates, OddsRule, PinRule, Request
from longtail.server.rpc.read.recommend_request import read_request
from longtail.server.rpc.tokens.frozen_page import encode_page
from longtail.v1 import filter_pb2
from longtail.v1 import recommendation_service_pb2 as pb

HEART = filter_pb2.Filter(all_of=[filter_pb2.Condition(field="heart", exists=True)])
FROZEN = FrozenCandidates(("a", "b"), PoolScale(np.zeros(SIGNALS), np.ones(SIGNALS)), 10)
NAN = float("nan")

Message = pb.RecommendRequest


def request_of(message: pb.RecommendRequest) -> Request:
    return read_request(
        message, dimension=4, spaces={}, default_strength=0.25, pseudonyms=Pseudonyms()
    ).wordless


def ruling(*rules: pb.Rule, page_size: int = 10) -> Message:
    return Message(page_size=page_size, rules=rules)


def pin(item_id: str, position: int, **values: Any) -> pb.Rule:  # noqa: ANN401 (of any type)
    return pb.Rule(pin=pb.Pin(item_id=item_id, position=position), **values)


BAD: dict[str, tuple[str, Callable[[], Message]]] = {
    "too many rules": ("rules", lambda: ruling(*[pb.Rule(boost=2, item_ids=["a"])] * 21)),
    "rule without an action": ("rules[0]", lambda: ruling(pb.Rule(item_ids=["a"]))),
    "overlong name of a rule": (
        "rules[0].name",
        lambda: ruling(pb.Rule(name="x" * 65, boost=2, item_ids=["a"])),
    ),
    "rule for nothing": ("rules[0]", lambda: ruling(pb.Rule(boost=2))),
    "rule for an empty filter": (
        "rules[0]",
        lambda: ruling(pb.Rule(boost=2, filter=filter_pb2.Filter())),
    ),
    "rule for a filter and items": (
        "rules[0].item_ids",
        lambda: ruling(pb.Rule(boost=2, filter=HEART, item_ids=["a"])),
    ),
    "rule for too many items": (
        "rules[0].item_ids",
        lambda: ruling(pb.Rule(boost=2, item_ids=["a"] * 1001)),
    ),
    "rule for an empty id": (
        "rules[0].item_ids[1]",
        lambda: ruling(pb.Rule(boost=2, item_ids=["a", ""])),
    ),
    "wrong filter of a rule": (
        "rules[1].filter.all_of[0].field",
        lambda: ruling(
            pb.Rule(boost=2, filter=HEART),
            pb.Rule(boost=2, filter=filter_pb2.Filter(all_of=[filter_pb2.Condition()])),
        ),
    ),
    "boost of one": ("rules[0].boost", lambda: ruling(pb.Rule(boost=1, item_ids=["a"]))),
    "boost too large": ("rules[0].boost", lambda: ruling(pb.Rule(boost=1001, item_ids=["a"]))),
    "bury NaN": ("rules[0].bury", lambda: ruling(pb.Rule(bury=NAN, item_ids=["a"]))),
    "bury below one": ("rules[0].bury", lambda: ruling(pb.Rule(bury=0.5, item_ids=["a"]))),
    "pin of nothing": ("rules[0].pin.item_id", lambda: ruling(pin("", 1))),
    "pin to no place": ("rules[0].pin.position", lambda: ruling(pin("a", 0))),
    "pin beyond the list": ("rules[0].pin.position", lambda: ruling(pin("a", 4), page_size=3)),
    "pin beside a filter": ("rules[0].filter", lambda: ruling(pin("a", 1, filter=HEART))),
    "pin beside items": ("rules[0].item_ids", lambda: ruling(pin("a", 1, item_ids=["b"]))),
    "two pins to one place": (
        "rules[1].pin.position",
        lambda: ruling(pin("a", 1), pin("b", 1)),
    ),
    "two pins of one item": ("rules[1].pin.item_id", lambda: ruling(pin("a", 1), pin("a", 2))),
}


@pytest.mark.parametrize(("field", "message_of"), BAD.values(), ids=BAD.keys())
def test_what_is_wrong_is_named_by_its_field(field: str, message_of: Callable[[], Message]) -> None:
    with pytest.raises(InvalidArgument) as caught:
        request_of(message_of())
    (violation,) = caught.value.violations
    assert violation.field == field
    assert violation.description


@pytest.mark.parametrize(
    "message_of",
    [
        lambda: ruling(*[pb.Rule(name="x" * 64, boost=1000, item_ids=["a"] * 1000)] * 20),
        lambda: ruling(pb.Rule(bury=1.0001, filter=HEART)),
        lambda: ruling(pin("a", 3), pin("b", 1), page_size=3),
        lambda: ruling(pin("a", 100), page_size=1000),
    ],
)
def test_a_value_at_its_bound_is_taken(message_of: Callable[[], Message]) -> None:
    request_of(message_of())


def test_rules_become_factors_and_pins() -> None:
    message = ruling(
        pb.Rule(name="up", boost=4, item_ids=["a", "b", "a"]),
        pin("c", 2, name="top"),
        pb.Rule(bury=4, filter=HEART),
    )
    asked = request_of(message)
    up, down = asked.odds_rules
    assert up == OddsRule("up", 4.0, None, frozenset({"a", "b"}), 0)
    assert (down.factor, down.item_ids, down.position) == (0.25, frozenset(), 2)
    assert down.filter is not None
    assert [(each.field, each.test) for each in down.filter.all_of] == [("heart", Exists(True))]
    assert asked.pins == (PinRule("top", "c", 1),)


def test_pins_are_for_the_first_page() -> None:
    # A later page may be shorter than the place of a pin.
    message = ruling(pin("a", 5), page_size=3)
    message.page_token = encode_page(message, FROZEN)
    later = request_of(message)
    assert later.pins == ()
    assert later.frozen is not None
    assert later.frozen.item_ids == FROZEN.item_ids
    # What is wrong with it is wrong on every page.
    wrong = ruling(pin("a", 0))
    wrong.page_token = encode_page(wrong, FROZEN)
    with pytest.raises(InvalidArgument, match="rules"):
        request_of(wrong)
