"""Why an item is in a list, or why not; the answers are made by hand, the catalogue is real."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from longtail.server.catalogue.columns.filter import Condition, Equals, Filter, Kind
from longtail.server.catalogue.state import CatalogueState
from longtail.server.ranking.evidence import FEATURES, SIGNALS, PoolScale
from longtail.server.recommend.answer import Answer
from longtail.server.recommend.context import NO_POSITION
from longtail.server.recommend.request import (
    Cap,
    FrozenCandidates,
    ItemExample,
    OddsRule,
    PinRule,
    Policy,
    Request,
)
from longtail.server.recommend.scoring import Candidates
from longtail.server.rpc.write.explanation import explain_listed, explain_unlisted
from longtail.server.store.records import Decision, DecisionKind, State
from longtail.v1 import recommendation_service_pb2 as pb

from tests.unit.server.answers import (
    REQUEST,
    answer_of,
    candidates_of,
    context_of,
    liked_of,
    listing_of,
)
from tests.unit.server.catalogues import NOW, item, opened, view_of

CANDIDATES = "abcdefgh"
# By relevance the candidates stand in this order.
RELEVANCE = np.array([0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1])
CRIME = Filter(all_of=(Condition("genre", Equals(Kind.TEXT, "crime")),))


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CatalogueState]:
    folder: Path = tmp_path_factory.mktemp("catalogue")
    with opened(folder) as written:
        written.upsert(
            *(item(name, seed, genre="crime") for seed, name in enumerate(CANDIDATES, 1)),
            item("far", 57, genre="crime"),
            item("drama", 52, genre="drama"),
            item("hidden", 53, state=State.HIDDEN),
            item("in review", 54, state=State.IN_REVIEW),
            item("to come", 55, window=(NOW + 1, None)),
            item("past", 56, genre="crime"),
        )
        yield view_of(written, folder).state


def answer(
    state: CatalogueState,
    request: Request = REQUEST,
    *,
    chosen: tuple[int, ...] = (0, 1, 2),
    capped: tuple[int, ...] = (),
    pinned: tuple[int, ...] = (),
    explored: tuple[int, ...] = (),
) -> Answer:
    liked = liked_of(state, "past", positions=[NO_POSITION])
    context = context_of(state, request, liked=liked, seen=frozenset({"past"}))
    candidates = replace(
        candidates_of(state, CANDIDATES), relevance=RELEVANCE, penalty=np.zeros(len(CANDIDATES))
    )
    listing = listing_of(RELEVANCE, chosen, capped=capped, pinned=pinned, explored=explored)
    return answer_of(context, candidates, listing)


def alone(state: CatalogueState, item_id: str) -> Candidates:
    """Return an item by itself, with a relevance of 0.45."""
    one = candidates_of(state, [item_id])
    return replace(
        one,
        mass=np.array([3.0]),
        parts=np.array([[0.25, 0.0, -0.125]]),
        evidence=replace(one.evidence, behaviour=np.array([0.5])),
        features=np.ones((1, len(FEATURES))),
        estimate=np.array([0.4]),
        rule_factor=np.array([2.0]),
        penalty=np.array([0.1]),
        rotation=np.array([0.2]),
        relevance=np.array([0.45]),
    )


def explained(made: Answer, item_id: str) -> pb.ExplainItemResponse:
    listed = explain_listed(made, item_id)
    if listed is not None:
        return listed
    is_candidate = item_id in made.candidates.ids
    one = None if is_candidate else alone(made.context.state, item_id)
    return explain_unlisted(made, item_id, one)


def test_what_is_listed_is_explained_as_it_is_listed(state: CatalogueState) -> None:
    found = explained(answer(state), "b")
    assert found.verdict == pb.VERDICT_LISTED
    assert found.relevance_gap == 0
    result = found.recommendation
    assert (result.item_id, result.title, result.rank) == ("b", "b of 2", 2)
    said = result.breakdown
    assert result.score == (
        said.relevance_gain + said.tail_bonus + said.coverage_bonus + said.taste_share
    )
    assert found.summary == (
        "It stands at place 2 because its relevance puts it there; by relevance alone, without "
        "the long tail's price, it would stand there too."
    )


@pytest.mark.parametrize(
    ("explored", "why"),
    [
        ((), "the long tail has its place in the list"),
        ((2,), "it was drawn for a place that is kept for items hardly anybody knows"),
    ],
)
def test_what_put_it_there_is_said(
    state: CatalogueState, explored: tuple[int, ...], why: str
) -> None:
    found = explained(answer(state, chosen=(0, 1, 6), explored=explored), "g")
    assert f"at place 3 because {why}; " in found.summary
    assert "it would stand at 7." in found.summary


@pytest.mark.parametrize(("name", "why"), [("top", "the rule 'top'"), ("", "a rule")])
def test_the_rule_that_pins_it_is_named(state: CatalogueState, name: str, why: str) -> None:
    asked = replace(REQUEST, pins=(PinRule("other", "x", 0), PinRule(name, "g", 2)))
    found = explained(answer(state, asked, chosen=(0, 1, 6), pinned=(2,)), "g")
    assert f"at place 3 because {why} pins it there; " in found.summary


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("sale", "spring"), " Its odds are multiplied by 2: the rules 'sale', 'spring'."),
        (("sale", ""), " Its odds are multiplied by 2: the rule 'sale'."),
        (("", ""), " Its odds are multiplied by 2: a rule."),
    ],
)
def test_the_rules_on_its_odds_are_named(
    state: CatalogueState, names: tuple[str, str], said: str
) -> None:
    ids = frozenset({"a", "e", "far"})
    asked = replace(
        REQUEST,
        odds_rules=(
            OddsRule(names[0], 4.0, CRIME, frozenset(), 0),
            OddsRule("other", 100.0, None, frozenset({"b"}), 1),
            OddsRule(names[1], 0.5, None, ids, 2),
        ),
    )
    for item_id in ids:
        assert explained(answer(state, asked), item_id).summary.endswith(said)
    assert "the rule 'sale'" not in explained(answer(state), "a").summary


def test_what_is_outranked_is_told_its_place_and_what_it_lacks(state: CatalogueState) -> None:
    found = explained(answer(state), "e")
    assert found.verdict == pb.VERDICT_OUTRANKED
    assert found.recommendation.breakdown.baseline_rank == 5
    assert found.relevance_gap == pytest.approx(0.6 - 0.4)
    assert found.recommendation.rank == 0
    assert found.recommendation.score == 0
    assert found.summary == (
        "It is a candidate, but others took the places. By relevance alone, without the long "
        "tail's price, it would stand at 5 of 8 candidates: its relevance is 0.2000 below the "
        "last item listed."
    )


def test_what_gave_its_place_to_the_tail_is_told_so(state: CatalogueState) -> None:
    found = explained(answer(state, chosen=(0, 1, 6)), "c")
    assert found.verdict == pb.VERDICT_OUTRANKED
    assert found.recommendation.breakdown.baseline_rank == 3
    assert found.relevance_gap == pytest.approx(0.2 - 0.6)
    assert "at 3 of 8 candidates: its relevance is 0.4000 above" in found.summary


def test_what_is_as_relevant_as_the_last_is_told_so(state: CatalogueState) -> None:
    made = answer(state)
    one = replace(alone(state, "drama"), relevance=np.array([0.60000001]))
    found = explain_unlisted(made, "drama", one)
    assert "its relevance is that of the last item listed." in found.summary


def test_what_the_caps_left_out_is_told_which(state: CatalogueState) -> None:
    asked = replace(REQUEST, policy=Policy(0.3, caps=(Cap("genre", 2), Cap("maker", 1))))
    found = explained(answer(state, asked, chosen=(0, 1, 3), capped=(2,)), "c")
    assert found.verdict == pb.VERDICT_CAPPED
    assert "genre, maker" in found.summary
    assert found.recommendation.breakdown.baseline_rank == 3


@pytest.mark.parametrize(
    ("page_size", "verdict"), [(3, pb.VERDICT_OUTRANKED), (4, pb.VERDICT_CAPPED)]
)
def test_what_is_outranked_anyway_is_capped_only_in_a_short_list(
    state: CatalogueState, page_size: int, verdict: pb.Verdict
) -> None:
    asked = replace(REQUEST, page_size=page_size, policy=Policy(0.3, caps=(Cap("genre", 2),)))
    found = explained(answer(state, asked, capped=(4,)), "e")
    assert found.verdict == verdict


@pytest.mark.parametrize(
    ("item_id", "asked", "verdict"),
    [
        ("far", REQUEST, pb.VERDICT_NOT_RETRIEVED),
        ("past", REQUEST, pb.VERDICT_SEEN),
        ("far", replace(REQUEST, excluded=frozenset({"far"})), pb.VERDICT_EXCLUDED),
        ("far", replace(REQUEST, item_examples=(ItemExample("far", 1, 0),)), pb.VERDICT_EXAMPLE),
        ("drama", replace(REQUEST, filter=CRIME), pb.VERDICT_FILTERED),
        ("hidden", REQUEST, pb.VERDICT_HIDDEN),
        ("in review", REQUEST, pb.VERDICT_IN_REVIEW),
        ("to come", REQUEST, pb.VERDICT_UNAVAILABLE),
    ],
)
def test_what_is_no_candidate_is_told_why_and_where_it_would_stand(
    state: CatalogueState, item_id: str, asked: Request, verdict: pb.Verdict
) -> None:
    found = explained(answer(state, asked), item_id)
    assert found.verdict == verdict
    result = found.recommendation
    assert (result.item_id, result.rank) == (item_id, 0)
    assert result.title.startswith(f"{item_id} of ")
    # Four candidates are more relevant; the last of the list has a relevance of 0.6.
    assert result.breakdown.baseline_rank == 5
    assert found.relevance_gap == pytest.approx(0.15)
    assert "it would stand at 5 of 8 candidates" in found.summary
    said = result.breakdown
    assert (said.similarity, said.from_query, said.from_history) == (0.125, 0.25, -0.125)
    assert (said.estimate, said.rule_factor, said.penalty, said.rotation) == (0.4, 2, 0.1, 0.2)
    assert (said.behaviour, said.popularity, said.relevance) == (0.5, 3, 0.45)
    assert said.terms[0].feature == "intercept"
    assert said.relevance_gain == said.tail_bonus == 0
    assert pb.REASON_QUERY in result.reasons


def test_what_is_no_candidate_is_told_what_it_is_most_like(state: CatalogueState) -> None:
    made = answer(state)
    index, columns = state.index, state.columns
    rows = columns.rows_at(["far"], state.revision)
    [cosine] = index.vectors(rows) @ made.context.liked.vectors[0]
    nearest = explained(made, "far").recommendation.nearest_example
    assert (nearest.item_id, nearest.title) == ("past", "past of 56")
    assert nearest.similarity == pytest.approx(cosine)
    # It is in the history, and not like itself.
    assert not explained(made, "past").recommendation.HasField("nearest_example")


def test_places_go_on_over_the_pages(state: CatalogueState) -> None:
    frozen = FrozenCandidates(tuple(CANDIDATES), PoolScale(np.zeros(SIGNALS), np.ones(SIGNALS)), 20)
    later = answer(state, replace(REQUEST, frozen=frozen))
    assert explained(later, "e").recommendation.breakdown.baseline_rank == 25
    far = explained(later, "far")
    assert far.recommendation.breakdown.baseline_rank == 25
    assert "at 25 of 28 candidates" in far.summary
    assert "on a page before" in far.summary


SPAM = Decision(7, "far", DecisionKind.HIDE, 0.0, "ann", "It is spam.", NOW, None, in_force=True)
UNTIL = 1_800_003_600_000_000


@pytest.mark.parametrize(
    ("item_id", "decision", "verdict", "said"),
    [
        ("hidden", None, pb.VERDICT_HIDDEN, "It is hidden. "),
        ("hidden", SPAM, pb.VERDICT_HIDDEN, "It is hidden, as ann decided: It is spam. "),
        (
            "hidden",
            replace(SPAM, kind=DecisionKind.BLOCK, expire_time=UNTIL),
            pb.VERDICT_HIDDEN,
            "It is hidden until 2027-01-15T09:00:00Z, as ann decided: It is spam. ",
        ),
        (
            "in review",
            replace(SPAM, kind=DecisionKind.SUBMIT, reason="look at it"),
            pb.VERDICT_IN_REVIEW,
            "It is in review, as ann decided: look at it. ",
        ),
        # Its writer keeps it back, whatever was decided.
        ("in review", replace(SPAM, kind=DecisionKind.APPROVE), pb.VERDICT_IN_REVIEW, "review. "),
        ("far", None, pb.VERDICT_NOT_RETRIEVED, " A penalty takes 10% of its relevance."),
        (
            "far",
            replace(SPAM, kind=DecisionKind.PENALISE, penalty=0.1, expire_time=UNTIL),
            pb.VERDICT_NOT_RETRIEVED,
            " A penalty takes 10% of its relevance until 2027-01-15T09:00:00Z, as ann decided: It "
            "is spam.",
        ),
    ],
)
def test_who_decided_so_is_said_with_why_and_until_when(
    state: CatalogueState,
    item_id: str,
    decision: Decision | None,
    verdict: pb.Verdict,
    said: str,
) -> None:
    found = explain_unlisted(answer(state), item_id, alone(state, item_id), decision)
    assert (found.verdict, said in found.summary) == (verdict, True), found.summary
    assert found.HasField("decision") == (decision is not None)
    if decision is not None:
        assert (found.decision.author, found.decision.reason) == ("ann", decision.reason)
        assert found.decision.kind == decision.kind.value
        assert found.decision.HasField("expire_time") == (decision.expire_time is not None)


def test_a_penalty_is_told_of_what_is_listed_too(state: CatalogueState) -> None:
    made = answer(state)
    penalised = replace(made, candidates=replace(made.candidates, penalty=np.full(8, 0.125)))
    decision = replace(SPAM, kind=DecisionKind.PENALISE, penalty=0.125)
    found = explain_listed(penalised, "b", decision)
    assert found is not None
    assert found.summary.endswith(
        " A penalty takes 12.5% of its relevance, as ann decided: It is spam."
    )
    assert found.decision.revision == 7


def test_without_a_list_there_is_no_gap(state: CatalogueState) -> None:
    empty = replace(answer(state), listing=None)
    assert explained(empty, "far").relevance_gap == 0


def test_the_words_of_the_query_that_it_holds_are_said(state: CatalogueState) -> None:
    assert state.words is not None
    made = answer(state)
    sought = state.words.search(("of", "a", "drama"), 10, made.context.scope)
    parts = state.words.parts(sought, made.candidates.rows).T
    made = replace(
        made,
        context=replace(made.context, sought=sought),
        candidates=replace(made.candidates, word_parts=parts),
    )
    assert explained(made, "a").summary.endswith(" It holds of the query's words: 'a', 'of'.")
