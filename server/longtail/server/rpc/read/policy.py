"""How a list is to be chosen from its candidates: each limit of the contract."""

import math
from functools import lru_cache

from longtail.runtime.errors import InvalidArgument, Violation
from longtail.server.ranking.dial import Knobs
from longtail.server.ranking.quota import Limits
from longtail.server.recommend.request import Cap, Policy
from longtail.server.rpc.read.counts import check_attribute, check_count
from longtail.server.rpc.read.fields import check_number
from longtail.v1 import recommendation_service_pb2 as pb

MAX_CAPS, MAX_CAP = 5, 100
# Popularity up to which an item is hardly known.
HARDLY_KNOWN = 5.0


def policy_of(
    long_tail: pb.LongTail,
    diversity: pb.Diversity,
    exploration: pb.Exploration,
    *,
    page_size: int,
    default_strength: float,
) -> Policy:
    """Return the policy; raise InvalidArgument naming the first field that is wrong."""

    def share(name: str, default: float) -> float:
        given = getattr(long_tail, name) if long_tail.HasField(name) else default
        return check_number(f"long_tail.{name}", given, 0, 1)

    def knob(name: str) -> float | None:
        return share(name, 0.0) if long_tail.HasField(name) else None

    return Policy(
        strength=share("strength", default_strength),
        limits=Limits(share("min_tail_fraction", 0.0), share("relevance_budget", 1.0)),
        diversity=check_number("diversity.strength", diversity.strength, 0, 1),
        caps=_caps(diversity),
        exploration_slots=_slots(exploration, page_size),
        exploration_popularity=check_number(
            "exploration.max_popularity",
            exploration.max_popularity if exploration.HasField("max_popularity") else HARDLY_KNOWN,
            0,
            math.inf,
        ),
        knobs=Knobs(tail=knob("tail"), coverage=knob("coverage"), taste=knob("taste")),
    )


@lru_cache(maxsize=8)
def usual_policy(default_strength: float) -> Policy:
    """Return the policy where a request says nothing of it."""
    return policy_of(
        pb.LongTail(),
        pb.Diversity(),
        pb.Exploration(),
        page_size=0,
        default_strength=default_strength,
    )


def _caps(diversity: pb.Diversity) -> tuple[Cap, ...]:
    check_count("diversity.caps", diversity.caps, MAX_CAPS)
    return tuple(_cap(f"diversity.caps[{at}]", cap) for at, cap in enumerate(diversity.caps))


def _cap(path: str, cap: pb.AttributeCap) -> Cap:
    field = check_attribute(f"{path}.field", cap.field)
    check_number(f"{path}.limit", cap.limit, 1, MAX_CAP)
    return Cap(field, cap.limit)


def _slots(exploration: pb.Exploration, page_size: int) -> int:
    if exploration.slots > page_size:
        raise InvalidArgument(
            Violation("exploration.slots", f"is {exploration.slots}, over page_size {page_size}")
        )
    return exploration.slots
