import numpy as np
import pytest
from longtail.server.ranking.evidence import FEATURES
from longtail.server.ranking.popularity import Bucket
from longtail.server.ranking.profile import Context
from longtail.server.ranking.relevance import RelevanceModel
from longtail.server.recommend.answer import Placed
from longtail.server.rpc.write.reasons import placing_reason, relevance_reasons
from longtail.v1 import recommendation_service_pb2 as pb

from tests.unit.server.answers import listing_of

MODEL = RelevanceModel.of(
    -1.0, {"text": 1.0, "behaviour": 1.0, "recent behaviour": 1.0, "behaviour x text": 1.0}
)


def placed(
    parts: tuple[float, float, float], behaviour: float = 0.0, rule: float = 1.0, **values: float
) -> Placed:
    features = np.zeros(len(FEATURES))
    for name, value in values.items():
        features[FEATURES.index(name.replace("_", " "))] = value
    return Placed(np.array(parts), features, behaviour, 0.5, rule, 0.0, 0.0, 0.5, 0.0)


def reasons(item: Placed, context: Context = Context.HISTORY) -> list[str]:
    found = relevance_reasons(item, context, MODEL)
    return [pb.Reason.Name(reason).removeprefix("REASON_") for reason in found]


def test_parts_come_by_their_share_of_the_cosine() -> None:
    assert reasons(placed((0.2, 0.5, 0.1), text=1)) == ["EXAMPLES", "QUERY", "HISTORY"]
    # Also where the text speaks against the item: they are what made it a candidate.
    assert reasons(placed((0.2, 0.5, -0.1), text=-1)) == ["EXAMPLES", "QUERY"]
    assert reasons(placed((-0.2, 0, 0), text=1)) == []


@pytest.mark.parametrize(
    ("text", "behaviour", "expected"),
    [
        # The text's log odds are halved between query and history.
        (2.0, 0.9, ["QUERY", "HISTORY", "BEHAVIOUR"]),
        (2.0, 1.1, ["BEHAVIOUR", "QUERY", "HISTORY"]),
        (-2.0, 0.1, ["BEHAVIOUR", "QUERY", "HISTORY"]),
        (2.0, -0.1, ["QUERY", "HISTORY"]),
    ],
)
def test_behaviour_comes_by_its_log_odds(
    text: float, behaviour: float, expected: list[str]
) -> None:
    item = placed((0.3, 0, 0.3), behaviour=0.2, text=text, recent_behaviour=behaviour)
    assert reasons(item) == expected


def test_behaviour_that_is_borrowed_from_the_text_is_no_reason() -> None:
    item = placed((0, 0, 0.3), text=1, recent_behaviour=5)
    assert reasons(item) == ["HISTORY"]


def test_behaviour_is_the_reason_where_there_is_no_other() -> None:
    found = placed((0, 0, -0.1), behaviour=0.1, text=-1, recent_behaviour=-2)
    assert reasons(found) == ["BEHAVIOUR"]
    assert reasons(placed((0, 0, -0.1), text=-1)) == []


def test_where_nothing_is_known_popularity_is_the_reason() -> None:
    assert reasons(placed((0, 0, 0)), Context.NOTHING) == ["POPULAR"]


def test_a_boost_comes_first() -> None:
    assert reasons(placed((0.5, 0, 0), rule=2.0, text=1)) == ["BOOSTED", "QUERY"]
    assert reasons(placed((0.5, 0, 0), rule=0.5, text=1)) == ["QUERY"]


def test_what_put_an_item_into_the_list() -> None:
    relevance = np.linspace(0.9, 0.1, 6)
    listing = listing_of(relevance, [0, 5, 3, 4], pinned=[1], explored=[2])
    assert placing_reason(listing, 0, Bucket.TAIL) is None
    assert placing_reason(listing, 1, Bucket.TAIL) == pb.REASON_PINNED
    assert placing_reason(listing, 2, Bucket.TAIL) == pb.REASON_EXPLORATION
    assert placing_reason(listing, 3, Bucket.TAIL) == pb.REASON_LONG_TAIL
    assert placing_reason(listing, 3, Bucket.HEAD) is None


def test_what_the_caps_made_room_for_is_there_by_relevance() -> None:
    relevance = np.linspace(0.9, 0.1, 6)
    listing = listing_of(relevance, [0, 2, 5], capped=[1])
    assert placing_reason(listing, 1, Bucket.TAIL) is None
    # The second of the two places after it was not left to the next in order.
    assert placing_reason(listing, 2, Bucket.TAIL) == pb.REASON_LONG_TAIL
