"""What a response says of a list as a whole."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from longtail.server.catalogue.columns.filter import Condition, Exists, Filter
from longtail.server.ranking.evidence import SIGNALS, PoolScale
from longtail.server.ranking.listing import GaveWay
from longtail.server.ranking.quota import Limits, Saturation
from longtail.server.recommend.request import Cap, FrozenCandidates, OddsRule, Policy, Request
from longtail.server.rpc.write.recommend_response import recommend_response, timings
from longtail.v1 import recommendation_service_pb2 as pb

from tests.unit.server.answers import (
    REQUEST,
    SmallCatalogue,
    answer_of,
    candidates_of,
    context_of,
    listing_of,
    small_catalogue,
)

GENRE = Filter(all_of=(Condition("genre", Exists(True)),))
FROZEN = FrozenCandidates(("a",), PoolScale(np.zeros(SIGNALS), np.ones(SIGNALS)), 3)
NOBODY = frozenset[GaveWay]()


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallCatalogue]:
    with small_catalogue(tmp_path_factory.mktemp("catalogue")) as small:
        yield small


def response(
    catalogue: SmallCatalogue,
    request: Request = REQUEST,
    *,
    gave_way: frozenset[GaveWay] = NOBODY,
    capped: tuple[int, ...] = (),
    saturation: Saturation | None = None,
    empty: bool = False,
) -> pb.RecommendResponse:
    candidates = candidates_of(catalogue.state, "abcdefgh")
    listing = listing_of(
        candidates.relevance,
        [6, 1, 4],
        explored=[1],
        gave_way=gave_way,
        capped=capped,
        saturation=saturation,
    )
    context = context_of(catalogue.state, request, missing=("no such item",))
    answer = answer_of(context, candidates, None if empty else listing)
    return recommend_response(answer, pb.EXPLAIN_UNSPECIFIED)


def test_a_list_as_a_whole(catalogue: SmallCatalogue) -> None:
    reply = response(catalogue)
    assert reply.list_metrics == pb.ListMetrics(
        tail_fraction=1 / 3,
        mean_popularity_percentile=float(np.mean([7 / 9, 2 / 9, 5 / 9])),
        relevance_loss=0.125,
        intra_list_diversity=0.75,
        taste_divergence=0.0625,
    )
    assert reply.provenance == pb.Provenance(
        model_id="tiny@1", revision=catalogue.state.revision, ranking_profile="default@0"
    )
    assert list(reply.missing_ids) == ["no such item"]
    assert reply.recommendation_token == reply.next_page_token == ""


def test_what_an_answer_took(catalogue: SmallCatalogue) -> None:
    candidates = candidates_of(catalogue.state, "abcdefgh")
    taken = timings(answer_of(context_of(catalogue.state), candidates, None), 0.5, 1.75)
    assert taken.embedding.ToMicroseconds() == 500_000
    assert taken.search.ToMicroseconds() == 250_000
    assert taken.ranking.ToMicroseconds() == 125_000
    assert taken.total.ToMicroseconds() == 1_750_000


def test_the_policy_that_was_followed(catalogue: SmallCatalogue) -> None:
    policy = Policy(0.4, Limits(0.5, 0.02), exploration_slots=2)
    reply = response(
        catalogue,
        replace(REQUEST, policy=policy),
        gave_way=frozenset({GaveWay.EXPLORATION_TO_CANDIDATES, GaveWay.TAIL_TO_BUDGET}),
    )
    assert reply.policy == pb.EffectivePolicy(
        strength=0.4,
        min_tail_fraction=0.5,
        relevance_budget=0.02,
        min_tail_fraction_met=False,
        page_size=3,
        tail_price=0.09,
        gave_way=[pb.GAVE_WAY_TAIL_TO_BUDGET, pb.GAVE_WAY_EXPLORATION_TO_CANDIDATES],
        exploration_slots=1,
        coverage_price=0.01,
        taste_price=0.1,
    )


@pytest.mark.parametrize("why", list(Saturation))
def test_why_a_stronger_dial_brings_no_more_is_named(
    catalogue: SmallCatalogue, why: Saturation
) -> None:
    reply = response(catalogue, saturation=why)
    assert pb.Saturation.Name(reply.policy.saturation) == f"SATURATION_{why.name}"
    assert response(catalogue).policy.saturation == pb.SATURATION_UNSPECIFIED
    assert response(catalogue, empty=True).policy.saturation == pb.SATURATION_UNSPECIFIED


@pytest.mark.parametrize("what", list(GaveWay))
def test_what_gave_way_is_named(catalogue: SmallCatalogue, what: GaveWay) -> None:
    reply = response(catalogue, gave_way=frozenset({what}))
    [named] = reply.policy.gave_way
    assert pb.GaveWay.Name(named) == f"GAVE_WAY_{what.name}"
    assert reply.policy.min_tail_fraction_met == (not what.name.startswith("TAIL"))


@pytest.mark.parametrize(
    ("asked", "capped", "reason"),
    [
        (REQUEST, (), pb.SHORT_PAGE_REASON_UNSPECIFIED),
        (replace(REQUEST, page_size=4), (), pb.SHORT_PAGE_REASON_CATALOGUE_EXHAUSTED),
        (replace(REQUEST, page_size=4, filter=GENRE), (), pb.SHORT_PAGE_REASON_FILTER),
        (replace(REQUEST, page_size=4, filter=GENRE), (0,), pb.SHORT_PAGE_REASON_CAPS),
        (
            replace(REQUEST, page_size=4, filter=GENRE, frozen=FROZEN),
            (),
            pb.SHORT_PAGE_REASON_LAST_PAGE,
        ),
        (replace(REQUEST, page_size=4, frozen=FROZEN), (0,), pb.SHORT_PAGE_REASON_CAPS),
        # The caps moved the list, but did not shorten it.
        (REQUEST, (0,), pb.SHORT_PAGE_REASON_UNSPECIFIED),
    ],
)
def test_why_a_page_is_short(
    catalogue: SmallCatalogue, asked: Request, capped: tuple[int, ...], reason: pb.ShortPageReason
) -> None:
    assert response(catalogue, asked, capped=capped).short_page_reason == reason


def test_attributes_that_no_item_has_are_named_once(catalogue: SmallCatalogue) -> None:
    held, misspelt = Condition("genre", Exists(True)), Condition("color", Exists(True))
    request = replace(
        REQUEST,
        policy=Policy(0.3, caps=(Cap("genres", 2), Cap("colour", 1))),
        filter=Filter(all_of=(held,), none_of=(misspelt,)),
        odds_rules=(OddsRule("", 2.0, Filter(any_of=(held, misspelt)), frozenset(), 0),),
    )
    assert list(response(catalogue, request).missing_attributes) == [
        pb.MissingAttribute(field="color", nearest="colour"),
        pb.MissingAttribute(field="genres", nearest="genre"),
    ]
    assert not response(catalogue).missing_attributes


def test_an_empty_list(catalogue: SmallCatalogue) -> None:
    reply = response(catalogue, empty=True)
    assert not reply.results
    assert reply.list_metrics == pb.ListMetrics()
    assert reply.policy.min_tail_fraction_met
    assert reply.short_page_reason == pb.SHORT_PAGE_REASON_CATALOGUE_EXHAUSTED
