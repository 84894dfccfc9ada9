"""From a request to an answer, on a real store."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from longtail.server.ranking.dial import Dial, DialPoint, Knobs
from longtail.server.ranking.diversity import intra_list_diversity
from longtail.server.ranking.popularity import Bucket
from longtail.server.ranking.profile import Context, default_profile, write_profile
from longtail.server.ranking.quota import Limits, Prices
from longtail.server.recommend.request import (
    Cap,
    FrozenCandidates,
    OddsRule,
    PinRule,
    Policy,
    Rotation,
)
from longtail.server.rpc.recommendations import NOBODY

from tests.films import FILMS
from tests.unit.server.cinema import (
    FILMS_BY_THEME,
    Cinema,
    by_relevance,
    cinema,
    direction,
    film,
    like_it,
    listed,
    request,
)


@pytest.fixture
def films(tmp_path: Path) -> Iterator[Cinema]:
    with cinema(tmp_path) as opened:
        yield opened


def make_space_popular(films: Cinema) -> None:
    """One of the five is head then, two are mid; the other films are tail."""
    for count, each in zip((6, 4, 3, 2, 1), FILMS_BY_THEME["space"], strict=True):
        films.crowd(count, each)


def test_a_list_of_pure_relevance_is_in_its_order(films: Cinema) -> None:
    answer = films.answer(query=direction("space"))
    assert listed(answer) == by_relevance(answer.candidates)[:5]
    assert answer.prices == Prices()
    assert answer.offset == 0
    assert answer.profile == default_profile().version
    assert answer.listing is not None
    assert answer.listing.loss == pytest.approx(0)
    assert answer.intra_list_diversity == pytest.approx(
        intra_list_diversity(answer.candidates.vectors[answer.listing.chosen])
    )
    assert answer.search_seconds > 0
    assert answer.ranking_seconds > 0


def test_what_is_not_listed_remains_in_the_order_of_the_pool(films: Cinema) -> None:
    answer = films.answer(query=direction("space"))
    rest = [each for each in answer.candidates.ids if each not in listed(answer)]
    assert list(answer.remaining) == rest
    assert len(rest) == len(FILMS) - 5


def test_pages_show_each_film_once(films: Cinema) -> None:
    answer = films.answer(query=direction("space"))
    shown = listed(answer)
    while answer.remaining:
        frozen = FrozenCandidates(answer.remaining, answer.candidates.scale, len(shown))
        answer = films.answer(query=direction("space"), frozen=frozen)
        assert answer.offset == len(shown)
        shown += listed(answer)
    assert sorted(shown) == sorted(FILMS)
    first = films.answer(query=direction("space"), page_size=len(FILMS))
    assert shown == listed(first)


def test_a_list_is_as_long_as_the_candidates_allow(films: Cinema) -> None:
    everything = films.answer(query=direction("space"), page_size=50)
    assert sorted(listed(everything)) == sorted(FILMS)
    assert everything.remaining == ()
    nothing = films.answer(query=direction("space"), excluded=frozenset(FILMS))
    assert nothing.listing is None
    assert nothing.remaining == ()


def test_the_dial_buys_the_tail_at_the_price_of_the_profile(films: Cinema) -> None:
    make_space_popular(films)
    pure = films.answer(query=direction("space"))
    mixed = films.answer(Policy(strength=0.9), query=direction("space"))
    assert pure.listing is not None
    assert mixed.listing is not None
    assert mixed.prices == default_profile().dials[Context.QUERY].prices(0.9)
    assert mixed.listing.tail_fraction > pure.listing.tail_fraction
    whole = films.answer(Policy(strength=1.0), query=direction("space"))
    assert whole.listing is not None
    assert whole.listing.tail_fraction == 1.0
    bounded = films.answer(
        Policy(strength=1.0, limits=Limits(relevance_budget=0.02)), query=direction("space")
    )
    assert bounded.listing is not None
    assert bounded.listing.loss <= 0.02


def test_another_profile_is_followed(films: Cinema) -> None:
    profile = default_profile()
    dial = Dial(
        tuple(DialPoint(s, Prices(tail=5.0 * s), s, Prices(taste=3 * s)) for s in (0.0, 1.0))
    )
    dials = {**profile.dials, Context.QUERY: dial}
    path = films.written.store.path.with_name("ranking-profile.json")
    write_profile(replace(profile, dials=dials, fit={"name": "fitted"}), path)
    films.profiles.refresh()
    answer = films.answer(Policy(strength=0.5), query=direction("space"))
    assert answer.prices == Prices(tail=2.5)
    turned = films.answer(Policy(strength=0.5, knobs=Knobs(taste=1.0)), query=direction("space"))
    assert turned.prices == Prices(tail=2.5, taste=3.0)
    assert answer.profile.startswith("fitted@")


def test_policies_are_compared_on_one_pool(films: Cinema) -> None:
    make_space_popular(films)
    asked = request(query=direction("space"))
    policies = [Policy(strength=0.0), Policy(strength=1.0)]
    pure, whole = films.recommender.compare(films.view.state, asked, NOBODY, policies)
    assert pure.candidates is whole.candidates
    assert [pure.policy, whole.policy] == policies
    assert listed(pure) == listed(films.answer(policies[0], query=direction("space")))
    assert listed(whole) == listed(films.answer(policies[1], query=direction("space")))


def test_a_taste_is_that_of_the_history(films: Cinema) -> None:
    films.crowd(20, "heat", "jaws")
    films.does("ann", "moon", "up", "big")
    answer = films.answer(user_id="ann")
    assert answer.context.taste.likes == 3
    assert answer.context.taste.shares.argmax() == Bucket.TAIL
    assert answer.listing is not None
    assert answer.listing.taste_divergence > 0
    stranger = films.answer(query=direction("sea"))
    assert stranger.listing is not None
    assert stranger.listing.taste_divergence == 0


def test_pins_stand_at_their_places(films: Cinema) -> None:
    pins = (PinRule("", "amelie", 1), PinRule("", "jaws", 4))
    answer = films.answer(query=direction("space"), pins=pins)
    assert (listed(answer)[1], listed(answer)[4]) == ("amelie", "jaws")
    assert answer.listing is not None
    assert answer.listing.pinned.tolist() == [False, True, False, False, True]


def test_a_pin_beyond_the_end_of_a_short_list_is_left_to_its_relevance(films: Cinema) -> None:
    few = frozenset(FILMS) - {"jaws", "up"}
    answer = films.answer(
        query=direction("sea"), excluded=few, pins=(PinRule("", "up", 4),), page_size=5
    )
    assert listed(answer) == ["jaws", "up"]


def test_caps_bound_the_values_of_an_attribute(films: Cinema) -> None:
    answer = films.answer(
        Policy(strength=0.0, caps=(Cap("theme", 2),)), query=direction("space"), page_size=8
    )
    themes = [film(each).content.attributes["theme"] for each in listed(answer)]
    assert len(themes) == 8
    assert max(themes.count(theme) for theme in themes) == 2
    assert answer.listing is not None
    assert answer.listing.capped.any()


def test_hardly_known_films_are_explored(films: Cinema) -> None:
    films.crowd(9, *(set(FILMS) - {"jaws", "up", "big"}))
    policy = Policy(strength=0.0, exploration_slots=2, exploration_popularity=5.0)
    answer = films.answer(policy, query=direction("space"))
    assert answer.listing is not None
    drawn = {
        each
        for each, is_drawn in zip(listed(answer), answer.listing.explored, strict=True)
        if is_drawn
    }
    assert len(drawn) == 2
    assert drawn < {"jaws", "up", "big"}
    seeds = {
        frozenset(listed(films.answer(policy, query=direction("space"), seed=seed)))
        for seed in range(20)
    }
    assert len(seeds) > 1
    again = films.answer(policy, query=direction("space"))
    assert listed(again) == listed(answer)


def test_diversity_brings_other_themes(films: Cinema) -> None:
    plain = films.answer(query=direction("space"), page_size=4)
    diverse = films.answer(
        Policy(strength=0.0, diversity=0.9), query=direction("space"), page_size=4
    )
    assert diverse.intra_list_diversity > plain.intra_list_diversity


def test_a_film_is_placed_on_the_scale_of_the_pool(tmp_path: Path) -> None:
    with cinema(tmp_path, film("jaws", penalty=0.5), size=100) as films:
        films.crowd(5, "heat", "jaws")
        films.does("ann", "heat", "moon")
        films.does("ann", "big", value=-1.0)
        films.is_shown("ann", "jaws")
        answer = films.answer(
            user_id="ann",
            item_examples=like_it("up"),
            odds_rules=(OddsRule("", 3.0, None, frozenset({"jaws"}), 0),),
            rotation=Rotation(0.5, 10**12),
        )
        pool = answer.candidates
        for at, each in enumerate(pool.ids):
            placed = films.recommender.alone(answer, each)
            assert placed is not None
            assert placed.ids == [each]
            assert placed.parts[0] == pytest.approx(pool.parts[at], abs=1e-6)
            assert placed.features[0] == pytest.approx(pool.features[at], abs=1e-5)
            assert placed.evidence.behaviour[0] == pytest.approx(pool.evidence.behaviour[at])
            assert placed.estimate[0] == pytest.approx(pool.estimate[at], abs=1e-6)
            assert placed.rule_factor[0] == pool.rule_factor[at]
            assert placed.penalty[0] == pool.penalty[at]
            assert placed.rotation[0] == pytest.approx(pool.rotation[at])
            assert placed.relevance[0] == pytest.approx(pool.relevance[at], abs=1e-6)
            assert placed.mass[0] == pool.mass[at]
        seen = films.recommender.alone(answer, "heat")
        assert seen is not None
        assert seen.mass[0] == 6
        assert films.recommender.alone(answer, "no film") is None


def test_what_nobody_asked_for_is_placed_by_popularity(films: Cinema) -> None:
    films.crowd(5, "jaws")
    answer = films.answer(excluded=frozenset({"jaws"}))
    placed = films.recommender.alone(answer, "jaws")
    assert placed is not None
    assert placed.parts.tolist() == [[0, 0, 0]]
    assert placed.relevance[0] > answer.candidates.relevance.max()


def test_answers_come_at_once_from_what_was_written(films: Cinema) -> None:
    assert films.answer(user_id="ann").context.kind is Context.NOTHING
    films.does("ann", "moon")
    answer = films.answer(user_id="ann")
    assert answer.context.kind is Context.HISTORY
    assert answer.context.seen == {"moon"}


def test_behaviour_that_is_not_there_yet_is_done_without(films: Cinema) -> None:
    films.crowd(10, "heat", "ratatouille")
    films.does("ann", "heat")
    films.behaviour._behaviour = type(films.behaviour.behaviour)()
    answer = films.answer(user_id="ann")
    assert len(listed(answer)) == 5
    assert not answer.candidates.evidence.behaviour.any()
    assert not np.isnan(answer.candidates.relevance).any()
