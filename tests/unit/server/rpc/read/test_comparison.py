"""Which policies a comparison compares."""

import pytest
from longtail.runtime.errors import InvalidArgument
from longtail.server.ranking.quota import Limits
from longtail.server.recommend.request import Cap, Policy
from longtail.server.rpc.read.comparison import compared_policies
from longtail.v1 import recommendation_service_pb2 as pb

WHOLE = pb.RecommendRequest(
    long_tail=pb.LongTail(strength=0.5, relevance_budget=0.1),
    diversity=pb.Diversity(strength=0.2),
    exploration=pb.Exploration(slots=1),
)


def policies(*compared: pb.ComparedPolicy) -> dict[str, Policy]:
    request = pb.CompareRecommendationsRequest(request=WHOLE, policies=compared)
    return compared_policies(request, page_size=5, default_strength=0.3)


def dial(strength: float, name: str = "") -> pb.ComparedPolicy:
    return pb.ComparedPolicy(name=name, long_tail=pb.LongTail(strength=strength))


def test_what_a_policy_does_not_set_is_the_requests() -> None:
    found = policies(
        pb.ComparedPolicy(),
        dial(0.9, "tail"),
        pb.ComparedPolicy(
            diversity=pb.Diversity(caps=[pb.AttributeCap(field="genre", limit=1)]),
            exploration=pb.Exploration(),
        ),
        pb.ComparedPolicy(long_tail=pb.LongTail()),
    )
    whole = Policy(0.5, Limits(0.0, 0.1), 0.2, exploration_slots=1)
    assert found == {
        "policy 1": whole,
        "tail": Policy(0.9, Limits(), 0.2, exploration_slots=1),
        "policy 3": Policy(0.5, Limits(0.0, 0.1), 0.0, (Cap("genre", 1),)),
        # A message that is set and empty is set: to the defaults of the server.
        "policy 4": Policy(0.3, Limits(), 0.2, exploration_slots=1),
    }
    assert list(found) == ["policy 1", "tail", "policy 3", "policy 4"]


@pytest.mark.parametrize(
    ("field", "compared"),
    [
        ("policies", []),
        ("policies", [dial(0.1 * n) for n in range(5)]),
        ("policies[1].name", [dial(0, "a"), dial(1, "a")]),
        ("policies[1].name", [dial(0), dial(1, "policy 1")]),
        ("policies[0].name", [dial(0, "x" * 65)]),
        ("policies[0].name", [dial(0, "a\n")]),
        ("policies[1].long_tail.strength", [dial(0), dial(2)]),
        (
            "policies[0].exploration.slots",
            [pb.ComparedPolicy(exploration=pb.Exploration(slots=6))],
        ),
        (
            "policies[0].diversity.caps[0].limit",
            [pb.ComparedPolicy(diversity=pb.Diversity(caps=[pb.AttributeCap(field="a")]))],
        ),
    ],
)
def test_what_is_wrong_is_named(field: str, compared: list[pb.ComparedPolicy]) -> None:
    with pytest.raises(InvalidArgument) as caught:
        policies(*compared)
    assert [violation.field for violation in caught.value.violations] == [field]
