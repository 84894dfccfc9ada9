"""What is said of each item of an answer."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
from longtail.server.catalogue.state import CatalogueState
from longtail.server.ranking.evidence import FEATURES
from longtail.server.ranking.listing import Listing
from longtail.server.ranking.popularity import Bucket
from longtail.server.ranking.profile import Context
from longtail.server.ranking.relevance import RelevanceModel
from longtail.server.recommend.answer import Answer
from longtail.server.recommend.context import NO_POSITION
from longtail.server.rpc.write.recommend_response import recommend_response
from longtail.v1 import recommendation_service_pb2 as pb

from tests.unit.server.answers import (
    answer_of,
    candidates_of,
    context_of,
    liked_of,
    listing_of,
    small_catalogue,
)

CANDIDATES = "abcdefgh"
CHOSEN = [6, 1, 4]
MODEL = RelevanceModel.of(
    -1.0,
    {"text": 1.0, "words": 1.0, "behaviour": 1.0, "recent behaviour": 1.0, "behaviour x text": 1.0},
)
PLACED_BY = {pb.REASON_PINNED, pb.REASON_EXPLORATION, pb.REASON_LONG_TAIL}


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CatalogueState]:
    with small_catalogue(tmp_path_factory.mktemp("catalogue")) as small:
        yield small.state


def answer_like(state: CatalogueState, *liked: str, positions: Sequence[int]) -> Answer:
    """Return an answer to somebody who liked these items, or, for an empty id, a text."""
    context = context_of(state, liked=liked_of(state, *liked, positions=positions))
    candidates = candidates_of(state, CANDIDATES)
    return answer_of(context, candidates, listing_of(candidates.relevance, CHOSEN, explored=[1]))


@pytest.fixture
def answer(state: CatalogueState) -> Answer:
    return answer_like(state, "", "past", positions=[4, NO_POSITION])


def explained(
    answer: Answer, explain: pb.Explain = pb.EXPLAIN_UNSPECIFIED
) -> Sequence[pb.Recommendation]:
    return recommend_response(answer, explain).results


def reasons(
    state: CatalogueState,
    parts: tuple[float, float, float],
    behaviour: float = 0.0,
    rule: float = 1.0,
    score: float = 0.0,
    kind: Context = Context.HISTORY,
    **features: float,
) -> list[str]:
    """Return why an item is relevant that has these parts of a cosine, and these features."""
    one = candidates_of(state, ["a"])
    values = np.zeros((1, len(FEATURES)))
    for name, value in features.items():
        values[0, FEATURES.index(name.replace("_", " "))] = value
    one = replace(
        one,
        model=MODEL,
        parts=np.array([parts]),
        evidence=replace(one.evidence, behaviour=np.array([behaviour]), words=np.array([score])),
        features=values,
        rule_factor=np.array([rule]),
    )
    [result] = explained(
        answer_of(context_of(state, kind=kind), one, listing_of(one.relevance, [0]))
    )
    return [pb.Reason.Name(reason).removeprefix("REASON_") for reason in result.reasons]


def placed_by(state: CatalogueState, listing: Listing, bucket: Bucket) -> "list[pb.Reason | None]":
    """Return what put each item, all of one bucket, into a list."""
    candidates = candidates_of(state, CANDIDATES[: len(listing.baseline)])
    buckets = np.full(len(candidates.ids), bucket, np.int8)
    candidates = replace(candidates, evidence=replace(candidates.evidence, bucket=buckets))
    results = explained(answer_of(context_of(state), candidates, listing))
    # It comes first, if anything but relevance did.
    assert not any(PLACED_BY.intersection(result.reasons[1:]) for result in results)
    first = [next(iter(result.reasons), None) for result in results]
    return [reason if reason in PLACED_BY else None for reason in first]


def test_a_score_is_the_sum_of_its_parts(answer: Answer) -> None:
    assert answer.listing is not None
    for place, result in enumerate(explained(answer)):
        parts = result.breakdown
        assert result.score == (
            parts.relevance_gain + parts.tail_bonus + parts.coverage_bonus + parts.taste_share
        )
        assert parts.relevance_gain == answer.listing.gains[place]
        assert parts.taste_share == answer.listing.taste_share < 0


def test_relevance_can_be_computed_from_what_is_said(answer: Answer) -> None:
    factors = set()
    for result in explained(answer):
        said = result.breakdown
        log_odds = sum(term.log_odds for term in said.terms)
        assert [term.feature for term in said.terms] == [
            "intercept",
            "text",
            "behaviour",
            "popularity",
        ]
        assert said.estimate == pytest.approx(1 / (1 + math.exp(-log_odds)), rel=1e-12)
        odds = said.estimate / (1 - said.estimate) * said.rule_factor
        relevance = odds / (1 + odds) * (1 - said.penalty) * (1 - said.rotation)
        assert said.relevance == pytest.approx(relevance, rel=1e-12)
        factors.add(said.rule_factor)
        assert said.penalty > 0
        assert said.rotation > 0
    assert factors == {1.0, 2.0}


def test_where_an_item_stands(answer: Answer) -> None:
    candidates = answer.candidates
    for position, result in zip(CHOSEN, explained(answer), strict=True):
        said = result.breakdown
        assert said.similarity == said.from_query == pytest.approx(candidates.parts[position, 0])
        assert said.behaviour == candidates.evidence.behaviour[position]
        assert (
            said.baseline_rank == 1 + (candidates.relevance > candidates.relevance[position]).sum()
        )
        assert said.popularity == 2.0 ** (position + 1)
        # `past` is below them all.
        assert said.popularity_percentile == pytest.approx((position + 1) / 9)


def test_results_say_what_they_are_and_why(answer: Answer) -> None:
    first, drawn, _ = explained(answer)
    assert (drawn.item_id, drawn.title, drawn.rank) == ("b", "b of 2", 2)
    assert drawn.reasons[:2] == [pb.REASON_EXPLORATION, pb.REASON_BOOSTED]
    assert (drawn.bucket, drawn.propensity) == (pb.BUCKET_TAIL, 0.25)
    assert (first.propensity, first.rank) == (1, 1)
    assert not drawn.HasField("item")


def test_no_more_is_said_than_is_asked_for(answer: Answer) -> None:
    full = explained(answer, pb.EXPLAIN_FULL)
    assert full == explained(answer)
    in_words_only = explained(answer, pb.EXPLAIN_REASONS)
    for whole, in_words, bare in zip(
        full, in_words_only, explained(answer, pb.EXPLAIN_NONE), strict=True
    ):
        assert whole.HasField("breakdown")
        whole.ClearField("breakdown")
        assert in_words == whole
        for field in ("reasons", "nearest_example", "matching_attributes"):
            whole.ClearField(field)
        assert bare == whole
        assert bare.score
        assert bare.propensity


def test_an_empty_list_has_no_results(answer: Answer) -> None:
    assert not explained(replace(answer, listing=None))


def test_results_name_what_they_are_most_like(answer: Answer) -> None:
    candidates = answer.candidates
    for position, result in zip(CHOSEN, explained(answer), strict=True):
        cosines = answer.context.liked.vectors @ candidates.vectors[position]
        nearest = result.nearest_example
        assert cosines.max() > 0
        assert nearest.similarity == pytest.approx(cosines.max())
        if cosines.argmax() == 0:
            assert (nearest.item_id, nearest.title, nearest.example) == ("", "", 4)
            assert not result.matching_attributes
        else:
            assert (nearest.item_id, nearest.title) == ("past", "past of 50")
            assert not nearest.HasField("example")
            assert "genre=crime" in result.matching_attributes


def test_the_first_example_is_told_from_none(state: CatalogueState) -> None:
    # `e` and `b` have something of `past`.
    for position in (0, NO_POSITION):
        _, *near = explained(answer_like(state, "past", positions=[position]))
        for result in near:
            assert result.nearest_example.item_id == "past"
            assert result.nearest_example.example == 0
            assert result.nearest_example.HasField("example") == (position == 0)


def test_an_item_is_not_compared_with_itself(state: CatalogueState) -> None:
    # The vector of g twice: as the item g, which is listed, and as no item at all.
    liked = liked_of(state, "g", "", "past", positions=[0, 1, NO_POSITION])
    candidates = candidates_of(state, CANDIDATES)
    listing = listing_of(candidates.relevance, CHOSEN)
    own = answer_of(context_of(state, liked=liked), candidates, listing)
    nearest = explained(own)[0].nearest_example
    others = liked.vectors[1:] @ candidates.vectors[6]
    assert nearest.similarity == pytest.approx(others.max())
    liked.vectors[1] = candidates.vectors[6]
    again = explained(own)[0].nearest_example
    assert (again.item_id, again.example) == ("", 1)
    assert again.similarity == pytest.approx(1)


def test_what_is_like_nothing_has_no_example(state: CatalogueState) -> None:
    made = answer_like(state, "past", positions=[NO_POSITION])
    away = replace(made.context.liked, examples=-made.candidates.vectors[[6]])
    like_nothing = replace(made, context=replace(made.context, liked=away))
    assert not explained(like_nothing)[0].HasField("nearest_example")
    nobody = replace(made, context=context_of(state))
    for result in explained(nobody):
        assert not result.HasField("nearest_example")
        assert not result.matching_attributes


def test_parts_come_by_their_share_of_the_cosine(state: CatalogueState) -> None:
    assert reasons(state, (0.2, 0.5, 0.1), text=1) == ["EXAMPLES", "QUERY", "HISTORY"]
    # Also where the text speaks against the item: they are what made it a candidate.
    assert reasons(state, (0.2, 0.5, -0.1), text=-1) == ["EXAMPLES", "QUERY"]
    assert reasons(state, (-0.2, 0, 0), text=1) == []


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
    state: CatalogueState, text: float, behaviour: float, expected: list[str]
) -> None:
    found = reasons(state, (0.3, 0, 0.3), behaviour=0.2, text=text, recent_behaviour=behaviour)
    assert found == expected


def test_behaviour_that_is_borrowed_from_the_text_is_no_reason(state: CatalogueState) -> None:
    assert reasons(state, (0, 0, 0.3), text=1, recent_behaviour=5) == ["HISTORY"]


def test_behaviour_is_the_reason_where_there_is_no_other(state: CatalogueState) -> None:
    found = reasons(state, (0, 0, -0.1), behaviour=0.1, text=-1, recent_behaviour=-2)
    assert found == ["BEHAVIOUR"]
    assert reasons(state, (0, 0, -0.1), text=-1) == []


def test_where_nothing_is_known_popularity_is_the_reason(state: CatalogueState) -> None:
    assert reasons(state, (0, 0, 0), kind=Context.NOTHING) == ["POPULAR"]


def test_a_boost_comes_first(state: CatalogueState) -> None:
    assert reasons(state, (0.5, 0, 0), rule=2.0, text=1) == ["BOOSTED", "QUERY"]
    assert reasons(state, (0.5, 0, 0), rule=0.5, text=1) == ["QUERY"]


def test_what_put_an_item_into_the_list(state: CatalogueState) -> None:
    listing = listing_of(np.linspace(0.9, 0.1, 6), [0, 5, 3, 4], pinned=[1], explored=[2])
    assert placed_by(state, listing, Bucket.TAIL) == [
        None,
        pb.REASON_PINNED,
        pb.REASON_EXPLORATION,
        pb.REASON_LONG_TAIL,
    ]
    assert placed_by(state, listing, Bucket.HEAD)[3] is None


def test_what_the_caps_made_room_for_is_there_by_relevance(state: CatalogueState) -> None:
    listing = listing_of(np.linspace(0.9, 0.1, 6), [0, 2, 5], capped=[1])
    # The second of the two places after the first was not left to the next in order.
    assert placed_by(state, listing, Bucket.TAIL) == [None, None, pb.REASON_LONG_TAIL]


def test_words_are_a_reason_where_they_are_held_and_speak_for_it(state: CatalogueState) -> None:
    near = (0.5, 0.0, 0.0)
    assert reasons(state, near, text=1.0, words=2.0, score=3.0) == ["WORDS", "QUERY"]
    assert reasons(state, near, text=2.0, words=1.0, score=3.0) == ["QUERY", "WORDS"]
    # It holds fewer of them than others.
    assert reasons(state, near, text=1.0, words=-1.0, score=1.0) == ["QUERY"]
    assert reasons(state, (0.0, 0.0, 0.0), words=-1.0, score=1.0) == ["WORDS"]
    assert reasons(state, near, text=1.0, words=-1.0) == ["QUERY"]


def test_the_words_that_an_item_holds_are_named_from_the_rarest_on(state: CatalogueState) -> None:
    assert state.words is not None
    context = context_of(state)
    sought = state.words.search(("of", "a", "nobody"), 10, context.scope)
    candidates = candidates_of(state, CANDIDATES)
    listing = listing_of(candidates.relevance, [0, 1])
    parts = state.words.parts(sought, candidates.rows).T
    worded = replace(candidates, word_parts=parts)
    one, other = explained(answer_of(context_of(state, sought=sought), worded, listing))
    assert list(one.matched_words) == ["a", "of"]
    assert list(other.matched_words) == ["of"]
    assert not explained(answer_of(context, candidates, listing))[0].matched_words
