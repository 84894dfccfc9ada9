"""What is said of each result of a list."""

import math
from collections.abc import Iterator

import pytest
from longtail.server.recommend.answer import Answer
from longtail.server.recommend.pool import NO_POSITION
from longtail.server.rpc.write.results import results
from longtail.v1 import recommendation_service_pb2 as pb

from tests.unit.server.answers import (
    SmallCatalogue,
    answer_of,
    liked_of,
    listing_of,
    pool_of,
    small_catalogue,
)


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallCatalogue]:
    with small_catalogue(tmp_path_factory.mktemp("catalogue")) as small:
        yield small


@pytest.fixture
def answer(catalogue: SmallCatalogue) -> Answer:
    state = catalogue.state
    liked = liked_of(state, "", "past", positions=[4, NO_POSITION])
    pool = pool_of(state, "abcdefgh", liked)
    return answer_of(state, pool, listing_of(pool.relevance, [6, 1, 4], explored=[1]))


def explained(
    catalogue: SmallCatalogue,
    answer: Answer,
    level: pb.Explain = pb.EXPLAIN_UNSPECIFIED,
    include_items: bool = False,
) -> list[pb.Recommendation]:
    return results(answer, catalogue.records, level, include_items=include_items)


def test_a_score_is_the_sum_of_its_parts(catalogue: SmallCatalogue, answer: Answer) -> None:
    assert answer.listing is not None
    for place, result in enumerate(explained(catalogue, answer)):
        parts = result.breakdown
        assert result.score == (
            parts.relevance_gain + parts.tail_bonus + parts.coverage_bonus + parts.taste_share
        )
        assert parts.relevance_gain == answer.listing.gains[place]
        assert parts.taste_share == answer.listing.taste_share < 0


def test_relevance_can_be_computed_from_what_is_said(
    catalogue: SmallCatalogue, answer: Answer
) -> None:
    factors = set()
    for result in explained(catalogue, answer):
        said = result.breakdown
        log_odds = sum(term.log_odds for term in said.terms)
        assert said.terms[0].feature == "intercept"
        assert [term.feature for term in said.terms[1:]] == ["text", "behaviour", "popularity"]
        assert said.estimate == pytest.approx(1 / (1 + math.exp(-log_odds)), rel=1e-12)
        odds = said.estimate / (1 - said.estimate) * said.rule_factor
        relevance = odds / (1 + odds) * (1 - said.penalty) * (1 - said.rotation)
        assert said.relevance == pytest.approx(relevance, rel=1e-12)
        factors.add(said.rule_factor)
        assert said.penalty > 0
        assert said.rotation > 0
    assert factors == {1.0, 2.0}


def test_where_an_item_stands(catalogue: SmallCatalogue, answer: Answer) -> None:
    pool = answer.pool
    for position, result in zip([6, 1, 4], explained(catalogue, answer), strict=True):
        said = result.breakdown
        assert said.similarity == said.from_query == pytest.approx(pool.parts[position, 0])
        assert said.behaviour == pool.evidence.behaviour[position]
        assert said.baseline_rank == 1 + (pool.relevance > pool.relevance[position]).sum()
        assert said.popularity == 2.0 ** (position + 1)
        # `past` is below them all.
        assert said.popularity_percentile == pytest.approx((position + 1) / 9)


def test_ranks_go_on_over_the_pages(catalogue: SmallCatalogue, answer: Answer) -> None:
    first = explained(catalogue, answer)
    later = answer_of(catalogue.state, answer.pool, answer.listing, offset=20)
    for before, after in zip(first, explained(catalogue, later), strict=True):
        assert after.rank == before.rank + 20
        assert after.breakdown.baseline_rank == before.breakdown.baseline_rank + 20
        assert after.score == before.score


def test_results_say_what_they_are_and_why(catalogue: SmallCatalogue, answer: Answer) -> None:
    drawn = explained(catalogue, answer)[1]
    assert (drawn.item_id, drawn.title, drawn.rank) == ("b", "b", 2)
    assert drawn.reasons[:2] == [pb.REASON_EXPLORATION, pb.REASON_BOOSTED]
    assert drawn.propensity == 0.25
    assert drawn.bucket == pb.BUCKET_TAIL
    assert explained(catalogue, answer)[0].propensity == 1
    assert not drawn.HasField("item")


def test_results_name_what_they_are_most_like(catalogue: SmallCatalogue, answer: Answer) -> None:
    liked = answer.pool.liked.vectors
    for result in explained(catalogue, answer):
        vector = answer.pool.vectors[answer.pool.ids.index(result.item_id)]
        cosines = liked @ vector
        nearest = result.nearest_example
        assert cosines.max() > 0
        assert nearest.similarity == pytest.approx(cosines.max())
        if cosines.argmax() == 0:
            assert (nearest.item_id, nearest.title, nearest.example) == ("", "", 4)
            assert not result.matching_attributes
        else:
            assert (nearest.item_id, nearest.title) == ("past", "past")
            assert not nearest.HasField("example")
            assert "genre=crime" in result.matching_attributes


def test_no_more_is_said_than_is_asked_for(catalogue: SmallCatalogue, answer: Answer) -> None:
    full = explained(catalogue, answer, pb.EXPLAIN_FULL)
    assert full == explained(catalogue, answer)
    for whole, reasons, bare in zip(
        full,
        explained(catalogue, answer, pb.EXPLAIN_REASONS),
        explained(catalogue, answer, pb.EXPLAIN_NONE),
        strict=True,
    ):
        assert whole.HasField("breakdown")
        whole.ClearField("breakdown")
        assert reasons == whole
        for field in ("reasons", "nearest_example", "matching_attributes"):
            whole.ClearField(field)
        assert bare == whole
        assert bare.score
        assert bare.propensity


def test_items_come_with_the_results_when_they_are_asked_for(
    catalogue: SmallCatalogue, answer: Answer
) -> None:
    for result in explained(catalogue, answer, pb.EXPLAIN_NONE, include_items=True):
        assert result.item.id == result.item_id
        assert result.item.attributes["genre"] == "crime"


def test_an_item_that_has_gone_is_said_without_its_title(
    catalogue: SmallCatalogue, answer: Answer
) -> None:
    answer.pool.ids[6] = "gone"
    gone = explained(catalogue, answer, include_items=True)[0]
    assert (gone.item_id, gone.title) == ("gone", "")
    assert not gone.HasField("item")


def test_an_empty_list_has_no_results(catalogue: SmallCatalogue, answer: Answer) -> None:
    assert explained(catalogue, answer_of(catalogue.state, answer.pool, None)) == []
