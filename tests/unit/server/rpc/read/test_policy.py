"""How a list is to be chosen: strength, limits, diversity, caps, exploration."""

from collections.abc import Callable
from typing import Any

import pytest
from longtail.runtime.errors import InvalidArgument
from longtail.server.process.pseudonyms import Pseudonyms
from longtail.server.ranking.dial import Knobs
from longtail.server.ranking.quota import Limits
from longtail.server.recommend.request import Cap, Policy, Request
from longtail.server.rpc.read.recommend_request import read_request
from longtail.v1 import recommendation_service_pb2 as pb

NAN = float("nan")

Message = pb.RecommendRequest


def request_of(message: pb.RecommendRequest) -> Request:
    return read_request(
        message, dimension=4, spaces={}, default_strength=0.25, pseudonyms=Pseudonyms()
    ).wordless


def dial(**values: float) -> Message:
    return Message(long_tail=pb.LongTail(**values))


def capping(*caps: pb.AttributeCap) -> Message:
    return Message(diversity=pb.Diversity(caps=caps))


def exploring(page_size: int = 10, **values: Any) -> Message:  # noqa: ANN401 (fields of any type)
    return Message(page_size=page_size, exploration=pb.Exploration(**values))


BAD: dict[str, tuple[str, Callable[[], Message]]] = {
    "strength above one": ("long_tail.strength", lambda: dial(strength=1.5)),
    "strength below zero": ("long_tail.strength", lambda: dial(strength=-0.1)),
    "strength NaN": ("long_tail.strength", lambda: dial(strength=NAN)),
    "tail fraction": ("long_tail.min_tail_fraction", lambda: dial(min_tail_fraction=1.01)),
    "tail fraction NaN": ("long_tail.min_tail_fraction", lambda: dial(min_tail_fraction=NAN)),
    "budget": ("long_tail.relevance_budget", lambda: dial(relevance_budget=-1)),
    "budget NaN": ("long_tail.relevance_budget", lambda: dial(relevance_budget=NAN)),
    "tail above one": ("long_tail.tail", lambda: dial(tail=1.1)),
    "coverage below zero": ("long_tail.coverage", lambda: dial(coverage=-0.1)),
    "taste NaN": ("long_tail.taste", lambda: dial(taste=NAN)),
    "diversity above one": (
        "diversity.strength",
        lambda: Message(diversity=pb.Diversity(strength=1.1)),
    ),
    "diversity NaN": ("diversity.strength", lambda: Message(diversity=pb.Diversity(strength=NAN))),
    "too many caps": (
        "diversity.caps",
        lambda: capping(*[pb.AttributeCap(field="a", limit=1)] * 6),
    ),
    "cap of nothing": ("diversity.caps[0].field", lambda: capping(pb.AttributeCap(limit=1))),
    "cap of an overlong path": (
        "diversity.caps[0].field",
        lambda: capping(pb.AttributeCap(field="x" * 257, limit=1)),
    ),
    "cap of zero": ("diversity.caps[0].limit", lambda: capping(pb.AttributeCap(field="a"))),
    "cap too large": (
        "diversity.caps[1].limit",
        lambda: capping(pb.AttributeCap(field="a", limit=1), pb.AttributeCap(field="a", limit=101)),
    ),
    "more slots than places": ("exploration.slots", lambda: exploring(3, slots=4)),
    "more slots than the default page": ("exploration.slots", lambda: exploring(0, slots=11)),
    "popularity below zero": ("exploration.max_popularity", lambda: exploring(max_popularity=-1)),
    "popularity NaN": ("exploration.max_popularity", lambda: exploring(max_popularity=NAN)),
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
        lambda: dial(strength=1, min_tail_fraction=1, relevance_budget=0),
        lambda: dial(tail=1, coverage=0, taste=1),
        lambda: Message(diversity=pb.Diversity(strength=1)),
        lambda: capping(*[pb.AttributeCap(field="x" * 256, limit=100)] * 5),
        lambda: exploring(3, slots=3, max_popularity=0),
    ],
)
def test_a_value_at_its_bound_is_taken(message_of: Callable[[], Message]) -> None:
    request_of(message_of())


def test_what_is_not_said_is_the_default() -> None:
    asked = request_of(Message())
    assert asked.policy == Policy(0.25, Limits(0.0, 1.0), 0.0, (), 0, 5.0)
    assert (asked.rotation, asked.seed, asked.filter) == (None, 0, None)
    # Zero that is said is not the default.
    said = request_of(dial(strength=0, relevance_budget=0))
    assert said.policy == Policy(0.0, Limits(0.0, 0.0))
    assert request_of(dial(taste=0)).policy == Policy(0.25, knobs=Knobs(taste=0.0))
    assert request_of(exploring(max_popularity=0)).policy.exploration_popularity == 0


def test_a_policy_has_all_that_was_asked_for() -> None:
    message = Message(
        long_tail=pb.LongTail(
            strength=0.5,
            min_tail_fraction=0.2,
            relevance_budget=0.1,
            tail=0.6,
            coverage=0.7,
            taste=0.8,
        ),
        diversity=pb.Diversity(strength=0.3, caps=[pb.AttributeCap(field="genre", limit=2)]),
        exploration=pb.Exploration(slots=2, max_popularity=7),
        seed=2**64 - 1,
    )
    asked = request_of(message)
    knobs = Knobs(tail=0.6, coverage=0.7, taste=0.8)
    assert asked.policy == Policy(0.5, Limits(0.2, 0.1), 0.3, (Cap("genre", 2),), 2, 7.0, knobs)
    assert asked.seed == 2**64 - 1
