"""Ranking through the real server with the real encoder: all that a request can ask of a list."""

import math
from collections.abc import Iterator

import pytest
from longtail.client import (
    LongtailClient,
    LongtailError,
    boost,
    bury,
    example,
    filter_of,
    pin,
    where,
)
from longtail.client.calls.recommend_request import RecommendOptions
from longtail.v1 import item_pb2
from longtail.v1 import recommendation_service_pb2 as pb

from tests.served_films import GENRES, SPACE, catalogue, ids, result_of, served_films

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def client(
    worker_address: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LongtailClient]:
    """Return a client of a server with a dozen films."""
    with served_films(tmp_path_factory.mktemp("server"), worker_address) as connected:
        yield connected


def test_pages_repeat_nothing_while_items_are_written(client: LongtailClient) -> None:
    client.upsert_items([item_pb2.Item(id="gone", title="A spaceship that goes")])
    before = set(GENRES) | {"gone"}
    shown: list[str] = []
    ranks: list[int] = []
    token, pages = "", 0
    while pages == 0 or token:
        reply = client.recommend(SPACE, page_size=5, page_token=token)
        token, pages = reply.next_page_token, pages + 1
        shown += ids(reply)
        ranks += [result.rank for result in reply.results]
        left = [name for name in GENRES if name not in shown]
        written = [item_pb2.Item(id=f"new-{pages}", title=f"A hunted spaceship {pages}")]
        if left:
            [changed] = (film for film in catalogue() if film.id == left[0])
            changed.text += " It was changed while it was to be shown."
            written.append(changed)
        client.upsert_items(written)
        if pages == 1 and "gone" not in shown:
            client.delete_item("gone")
            before.discard("gone")
    assert len(set(shown)) == len(shown)
    assert set(shown) == before
    assert ranks == list(range(1, len(shown) + 1))
    assert pages == 3
    assert reply.short_page_reason == pb.SHORT_PAGE_REASON_LAST_PAGE
    there = [f"new-{page}" for page in range(1, pages + 1)]
    client.delete_items([*there, "gone"])
    client.upsert_items(catalogue())


def test_a_page_token_is_good_for_its_request_only(client: LongtailClient) -> None:
    token = client.recommend(SPACE, page_size=3).next_page_token
    others = (
        RecommendOptions(page_token=token, strength=0.9),
        RecommendOptions(page_token=token, user_id="ann"),
        RecommendOptions(page_token=token, seed=1),
    )
    for other in others:
        with pytest.raises(LongtailError) as caught:
            client.recommend(SPACE, **other)
        assert [violation.field for violation in caught.value.violations] == ["page_token"]
    damaged = token[:-8] + "AAAAAAAA"
    with pytest.raises(LongtailError) as caught:
        client.recommend(SPACE, page_token=damaged)
    assert [violation.field for violation in caught.value.violations] == ["page_token"]


def test_every_score_can_be_computed_from_its_breakdown(client: LongtailClient) -> None:
    reply = client.recommend(
        "a robot in space",
        user_id="user-1",
        examples=[example(item_id="robots")],
        strength=0.5,
        rules=[boost(3, item_ids=["solaris"]), bury(2, where=where("genres").equals("comedy"))],
        page_size=6,
    )
    units = []
    for result in reply.results:
        said = result.breakdown
        assert result.score == (
            said.relevance_gain + said.tail_bonus + said.coverage_bonus + said.taste_share
        )
        assert said.similarity == said.from_query + said.from_examples + said.from_history
        log_odds = sum(term.log_odds for term in said.terms)
        assert said.estimate == pytest.approx(1 / (1 + math.exp(-log_odds)), rel=1e-9)
        odds = said.estimate / (1 - said.estimate) * said.rule_factor
        kept = (1 - said.penalty) * (1 - said.rotation)
        assert said.relevance == pytest.approx(odds / (1 + odds) * kept, rel=1e-9)
        units.append(said.relevance_gain / (said.relevance / math.log2(result.rank + 1)))
        if result.bucket == pb.BUCKET_TAIL:
            assert said.tail_bonus == pytest.approx(reply.policy.tail_price / 6)
        else:
            assert said.tail_bonus == 0
    assert units == pytest.approx([units[0]] * len(units))
    assert result_of(reply, "solaris").breakdown.rule_factor == 3


def test_what_contradicts_the_budget_gives_way_and_says_so(client: LongtailClient) -> None:
    wanted = RecommendOptions(page_size=4, min_tail_fraction=1.0, strength=0.0)
    bounded = RecommendOptions(relevance_budget=0.0, **wanted)
    strict = client.recommend(SPACE, **bounded)
    assert list(strict.policy.gave_way) == [pb.GAVE_WAY_TAIL_TO_BUDGET]
    assert not strict.policy.min_tail_fraction_met
    assert strict.list_metrics.relevance_loss == 0
    free = client.recommend(SPACE, **wanted)
    assert free.policy.min_tail_fraction_met
    assert not free.policy.gave_way
    assert free.list_metrics.tail_fraction == 1
    assert free.list_metrics.relevance_loss > 0
    assert pb.REASON_LONG_TAIL in [result.reasons[0] for result in free.results]
    whole = client.recommend(SPACE, page_size=12, min_tail_fraction=1.0)
    assert list(whole.policy.gave_way) == [pb.GAVE_WAY_TAIL_TO_CANDIDATES]


def test_pins_stand_where_they_are_put(client: LongtailClient) -> None:
    rules = [pin("big", 2, name="top"), pin("heat", 4), pin("no such film", 1)]
    reply = client.recommend(SPACE, page_size=4, rules=rules)
    assert ids(reply)[1] == "big"
    assert ids(reply)[3] == "heat"
    assert list(reply.missing_ids) == ["no such film"]
    for place in (1, 3):
        assert reply.results[place].reasons[0] == pb.REASON_PINNED
    summary = client.explain_item("big", SPACE, page_size=4, rules=rules).summary
    assert "at place 2 because the rule 'top' pins it there" in summary
    later = client.recommend(SPACE, page_size=4, rules=rules, page_token=reply.next_page_token)
    assert not set(ids(later)) & set(ids(reply))


def test_a_boost_raises_the_odds_and_is_named(client: LongtailClient) -> None:
    rule = boost(100, where=filter_of(all_of=[where("genres").equals("paris")]), name="france")
    plain = client.recommend(SPACE, page_size=12)
    boosted = client.recommend(SPACE, page_size=12, rules=[rule])
    for item_id in ("ronin", "amelie", "ratatouille"):
        result = result_of(boosted, item_id)
        assert result.reasons[0] in (pb.REASON_BOOSTED, pb.REASON_LONG_TAIL)
        assert pb.REASON_BOOSTED in result.reasons
        before = result_of(plain, item_id).breakdown
        assert result.breakdown.estimate == pytest.approx(before.estimate)
        assert result.breakdown.relevance > before.relevance
    explained = client.explain_item("amelie", SPACE, page_size=12, rules=[rule])
    assert explained.summary.endswith("Its odds are multiplied by 100: the rule 'france'.")
    with pytest.raises(LongtailError) as caught:
        client.recommend(SPACE, rules=[boost(2, where=where("year").equals("old"), name="wrong")])
    assert caught.value.code.name == "INVALID_ARGUMENT"
    [violation] = caught.value.violations
    assert violation.field == "rules[0].filter.all_of[0].equals"


def test_explored_places_say_their_propensity(client: LongtailClient) -> None:
    seeds = range(60)
    drawn: dict[str, int] = {}
    stated: dict[str, float] = {}
    for seed in seeds:
        reply = client.recommend(SPACE, page_size=4, explore=1, seed=seed, strength=0.0)
        assert reply.policy.exploration_slots == 1
        [result] = (each for each in reply.results if pb.REASON_EXPLORATION in each.reasons)
        assert 0 < result.propensity <= 1
        assert all(each.propensity == 1 for each in reply.results if each is not result)
        assert result.breakdown.popularity <= 5
        drawn[result.item_id] = drawn.get(result.item_id, 0) + 1
        assert stated.setdefault(result.item_id, result.propensity) == result.propensity
    assert len(drawn) > 2
    for item_id, count in drawn.items():
        # Five standard deviations of a share of 60 draws, at its widest.
        assert count / len(seeds) == pytest.approx(stated[item_id], abs=5 * 0.5 / math.sqrt(60))
    again = client.recommend(SPACE, page_size=4, explore=1, seed=7)
    assert ids(again) == ids(client.recommend(SPACE, page_size=4, explore=1, seed=7))


def test_caps_and_diversity(client: LongtailClient) -> None:
    reply = client.recommend(SPACE, page_size=6, caps={"genres": 1}, diversity=0.3)
    shown = [genre for item_id in ids(reply) for genre in GENRES[item_id]]
    assert len(shown) == len(set(shown))
    whole = client.recommend(SPACE, page_size=12, caps={"genres": 1})
    assert len(whole.results) < 12
    assert whole.short_page_reason == pb.SHORT_PAGE_REASON_CAPS
    for item_id in GENRES.keys() - set(ids(whole)):
        found = client.explain_item(item_id, SPACE, page_size=12, caps={"genres": 1})
        assert found.verdict == pb.VERDICT_CAPPED
        assert "as many with its genres as the caps allow" in found.summary


def test_shown_items_are_reported_and_rotate(client: LongtailClient) -> None:
    before = client.get_exposure_report()
    reply = client.recommend(SPACE, user_id="eve", page_size=4)
    shown = ids(reply)
    recorded = client.record_impressions(reply.recommendation_token, shown)
    assert recorded.recorded_count == 4
    report = client.get_exposure_report()
    assert report.impression_count == before.impression_count + 4
    assert report.list_count == before.list_count + 1
    assert report.coverage > before.coverage

    rotated = client.recommend(
        SPACE, user_id="eve", page_size=12, rotation=0.9, min_revision=recorded.revision
    )
    for result in rotated.results:
        if result.item_id in shown:
            assert result.breakdown.rotation == pytest.approx(0.9, abs=0.01)
        else:
            assert result.breakdown.rotation == 0
    assert set(ids(rotated)[-4:]) & set(shown)
    unknown = client.recommend(SPACE, user_id="nobody knows me", page_size=12, rotation=0.9)
    assert all(result.breakdown.rotation == 0 for result in unknown.results)
