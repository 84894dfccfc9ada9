"""Which candidates a request draws, from text, from behaviour, from popularity."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from longtail.runtime.errors import InvalidArgument
from longtail.server.catalogue.columns.filter import Condition, Equals, Filter, Kind
from longtail.server.catalogue.columns.mask_cache import MaskCache
from longtail.server.ranking.evidence import FEATURES
from longtail.server.ranking.popularity import Bucket
from longtail.server.ranking.profile import Context
from longtail.server.recommend.context import NO_POSITION
from longtail.server.recommend.request import (
    FrozenCandidates,
    OddsRule,
    PinRule,
    Rotation,
    VectorExample,
)
from longtail.server.recommend.scoring import Candidates
from longtail.server.store.records import State

from tests.films import FILMS
from tests.unit.server.catalogues import item, unit
from tests.unit.server.cinema import (
    FILMS_BY_THEME,
    Cinema,
    by_relevance,
    cinema,
    direction,
    film,
    film_vector,
    like_it,
)

HOUR = 3600 * 10**6


@pytest.fixture
def films(tmp_path: Path) -> Iterator[Cinema]:
    with cinema(tmp_path) as opened:
        yield opened


def theme(name: str) -> Filter:
    return Filter((Condition("theme", Equals(Kind.TEXT, name)),))


def value(found: Candidates, values: np.ndarray, film_id: str) -> float:
    return float(values[found.ids.index(film_id)])


def test_a_query_draws_what_is_near_to_it(films: Cinema) -> None:
    answer = films.answer(query=direction("space"))
    pool = answer.candidates
    assert set(by_relevance(pool)[:5]) == set(FILMS_BY_THEME["space"])
    assert answer.context.kind is Context.QUERY
    assert pool.evidence.text == pytest.approx(pool.vectors @ direction("space"), abs=1e-6)
    assert pool.parts.sum(axis=1) == pytest.approx(pool.evidence.text)


def test_a_history_is_drawn_by_each_of_its_interests(tmp_path: Path) -> None:
    with cinema(tmp_path, size=6) as films:
        films.does("ann", "alien", "heat", "moon")
        answer = films.answer(user_id="ann")
    pool, interests = answer.candidates, answer.context.interests
    assert answer.context.kind is Context.HISTORY
    assert len(interests) >= 2
    assert {"ronin", "wall-e", "solaris"} <= set(pool.ids)
    assert pool.parts[:, :2].tolist() == [[0, 0]] * 6
    nearest = np.stack([pool.vectors @ interest.vector for interest in interests])
    assert pool.evidence.text == pytest.approx(nearest.max(axis=0), abs=1e-6)


def test_a_query_is_refined_by_a_history(films: Cinema) -> None:
    films.does("ann", "moon")
    answer = films.answer(user_id="ann", query=direction("paris"))
    pool = answer.candidates
    assert answer.context.kind is Context.QUERY
    assert pool.parts[:, 2].any()
    assert set(by_relevance(pool)[:2]) == {"amelie", "ratatouille"}


def test_text_examples_are_what_a_query_is(films: Cinema) -> None:
    examples = (VectorExample(direction("sea"), 1.0, 0),)
    assert films.answer(examples=examples).context.kind is Context.QUERY
    assert by_relevance(films.candidates(examples=examples))[0] == "jaws"


def test_what_was_liked_is_told_with_where_it_comes_from(films: Cinema) -> None:
    films.does("ann", "moon", "big")
    films.does("ann", "jaws", value=-1.0)
    vector = direction("sea")
    liked = films.answer(
        user_id="ann",
        examples=(VectorExample(vector, 1.0, 0), VectorExample(-vector, -1.0, 1)),
        item_examples=(*like_it("heat"), replace(like_it("ronin", weight=-1.0)[0], position=3)),
    ).context.liked
    assert liked.item_ids == ["", "heat", "big", "moon"]
    assert liked.positions == [0, 0, NO_POSITION, NO_POSITION]
    columns = films.view.state.columns
    assert liked.rows.tolist() == [
        -1,
        *columns.rows_at(["heat", "big", "moon"], films.view.revision),
    ]
    assert liked.vectors[0] == pytest.approx(vector)
    assert liked.vectors.shape == (4, len(vector))


def test_people_lead_from_a_like_to_what_no_text_is_near_to(tmp_path: Path) -> None:
    with cinema(tmp_path, size=4) as films:
        films.crowd(10, "heat", "ratatouille")
        films.does("ann", "heat")
        pool = films.candidates(user_id="ann")
        assert "ratatouille" in pool.ids
        assert "ratatouille" in by_relevance(pool)[:2]
        assert value(pool, pool.evidence.behaviour, "ratatouille") > 0
        assert value(pool, pool.evidence.support, "ratatouille") == 10
        # One who was seen to like nothing of it.
        films.does("bob", "jaws")
        assert not films.candidates(user_id="bob").evidence.behaviour.any()


def test_an_example_leads_to_what_people_liked_too(tmp_path: Path) -> None:
    with cinema(tmp_path, size=4) as films:
        films.crowd(10, "heat", "ratatouille")
        answer = films.answer(item_examples=like_it("heat"))
        assert answer.context.kind is Context.HISTORY
        assert "ratatouille" in by_relevance(answer.candidates)[:2]
        pushed = films.candidates(item_examples=like_it("heat", weight=-1.0))
        assert not pushed.evidence.behaviour.any()


def test_beside_a_query_behaviour_proposes_nothing(tmp_path: Path) -> None:
    with cinema(tmp_path, size=2) as films:
        films.crowd(10, "heat", "ratatouille")
        films.does("ann", "heat")
        pool = films.candidates(user_id="ann", query=direction("sea"), page_size=1)
        assert "ratatouille" not in pool.ids


def test_the_last_likes_lead_more_strongly(films: Cinema) -> None:
    films.crowd(10, "heat", "jaws")
    films.crowd(10, "big", "amelie")
    films.does("ann", "big", "alien", "moon", "solaris", "robots", "heat")
    evidence = films.candidates(user_id="ann").evidence
    pool = films.candidates(user_id="ann")
    of_last, of_first = (pool.ids.index(each) for each in ("jaws", "amelie"))
    assert evidence.behaviour[of_last] / evidence.behaviour[of_first] == pytest.approx(
        2 ** (5 / 100), rel=1e-4
    )
    assert evidence.recent[of_last] / evidence.recent[of_first] == pytest.approx(
        2 ** (5 / 3), rel=1e-4
    )


def test_the_nearest_dislike_is_an_aversion(films: Cinema) -> None:
    films.does("ann", "moon")
    assert not films.candidates(user_id="ann").evidence.aversion.any()
    films.does("ann", "heat", "jaws", value=-1.0)
    pool = films.candidates(user_id="ann")
    disliked = np.stack([film_vector("heat"), film_vector("jaws")])
    assert pool.evidence.aversion == pytest.approx((pool.vectors @ disliked.T).max(axis=1))
    assert by_relevance(pool)[-1] == "ronin"


def test_the_latest_opinion_of_an_item_counts(films: Cinema) -> None:
    films.does("ann", "moon", value=-1.0)
    films.does("ann", "moon", "heat")
    films.does("ann", "heat", value=-1.0)
    context = films.answer(user_id="ann").context
    assert context.liked.item_ids == ["moon"]
    assert context.taste.likes == 1


def test_seen_excluded_and_examples_are_left_out(films: Cinema) -> None:
    films.does("ann", "moon")
    asked = {"user_id": "ann", "item_examples": like_it("alien"), "excluded": frozenset({"big"})}
    answer = films.answer(**asked)  # type: ignore[arg-type]
    assert set(answer.candidates.ids) == FILMS.keys() - {"moon", "alien", "big"}
    assert answer.context.seen == {"moon"}
    assert "moon" in films.candidates(**asked, allow_seen=True).ids
    assert "moon" in films.candidates(**asked, seen_types=frozenset({"purchase"})).ids


def test_only_what_is_offered_and_passes_is_drawn(tmp_path: Path) -> None:
    hidden = film("wall-e", state=State.HIDDEN)
    with cinema(tmp_path, hidden) as films:
        films.crowd(5, "heat", "wall-e", "alien")
        films.does("ann", "heat")
        pool = films.candidates(user_id="ann", filter=theme("space"))
        assert set(pool.ids) == set(FILMS_BY_THEME["space"]) - {"wall-e"}
        with pytest.raises(InvalidArgument) as caught:
            films.candidates(filter=Filter((Condition("theme", Equals(Kind.NUMBER, 1.0)),)))
        assert [each.field for each in caught.value.violations] == ["filter.all_of[0].equals"]


def test_with_nothing_to_go_by_popular_films_are_drawn(films: Cinema) -> None:
    films.crowd(5, "jaws")
    films.crowd(2, "up")
    answer = films.answer()
    pool = answer.candidates
    assert answer.context.kind is Context.NOTHING
    assert answer.context.interests == ()
    assert by_relevance(pool)[:2] == ["jaws", "up"]
    assert not pool.parts.any()
    stranger = films.answer(user_id="nobody known")
    assert stranger.context.kind is Context.NOTHING


def test_what_is_unknown_is_missing(films: Cinema) -> None:
    answer = films.answer(
        item_examples=like_it("none", "heat", "none", "nor this"),
        pins=(PinRule("", "neither", 0), PinRule("", "big", 1)),
    )
    assert answer.context.missing == ("none", "nor this", "neither")


def test_weights_that_cancel_are_refused(films: Cinema) -> None:
    examples = (*like_it("heat"), *like_it("heat", weight=-1.0))
    with pytest.raises(InvalidArgument, match="examples"):
        films.candidates(item_examples=examples)


def test_a_pin_joins_the_pool_if_it_may_be_recommended(tmp_path: Path) -> None:
    with cinema(tmp_path, film("up", state=State.HIDDEN), size=3) as films:
        films.does("ann", "big")
        pins = tuple(
            PinRule("", each, at) for at, each in enumerate(["amelie", "up", "big", "alien"])
        )
        near = {"query": direction("space"), "user_id": "ann", "pins": pins}
        pool = films.candidates(**near, excluded=frozenset({"heat"}))
        assert "amelie" in pool.ids
        assert not {"up", "big"} & set(pool.ids)
        assert len(pool.ids) == len(set(pool.ids)) <= 5
        assert "amelie" not in films.candidates(**near, excluded=frozenset({"amelie"})).ids
        assert "amelie" not in films.candidates(**near, filter=theme("space")).ids


def test_a_later_page_draws_what_is_left_of_the_first(films: Cinema) -> None:
    films.does("ann", "alien")
    first = films.candidates(query=direction("space"))
    frozen = FrozenCandidates(("jaws", "wall-e", "gone", "alien", "big"), first.scale, 5)
    pool = films.candidates(
        user_id="ann", query=direction("space"), frozen=frozen, pins=(PinRule("", "up", 0),)
    )
    assert pool.ids == ["jaws", "wall-e", "big"]
    assert pool.scale is first.scale
    fresh = films.candidates(query=direction("space"), frozen=frozen)
    assert value(fresh, fresh.estimate, "jaws") == pytest.approx(
        value(first, first.estimate, "jaws")
    )


def test_nothing_is_left_of_a_first_page(films: Cinema) -> None:
    scale = films.candidates(query=direction("space")).scale
    pool = films.candidates(query=direction("space"), frozen=FrozenCandidates((), scale, 5))
    assert (pool.ids, pool.relevance.tolist()) == ([], [])


def test_rules_multiply_the_odds(films: Cinema) -> None:
    rules = (
        OddsRule("space", 4.0, theme("space"), frozenset(), 0),
        OddsRule("these", 0.5, None, frozenset({"moon", "heat"}), 1),
    )
    plain = films.candidates(query=direction("sea"))
    pool = films.candidates(query=direction("sea"), odds_rules=rules)
    factors = dict(zip(pool.ids, pool.rule_factor.tolist(), strict=True))
    assert (factors["alien"], factors["moon"], factors["heat"], factors["big"]) == (4, 2, 0.5, 1)
    assert pool.estimate == pytest.approx(plain.estimate)
    odds = pool.relevance / (1 - pool.relevance)
    assert odds == pytest.approx(pool.rule_factor * plain.estimate / (1 - plain.estimate))


def test_rules_look_at_the_candidates_alone(films: Cinema, monkeypatch: pytest.MonkeyPatch) -> None:
    def whole(*_: object) -> NoReturn:
        raise AssertionError("the whole catalogue was looked at")

    monkeypatch.setattr(MaskCache, "matching", whole)
    rules = (OddsRule("space", 4.0, theme("space"), frozenset(), 0),)
    assert 4.0 in films.candidates(query=direction("sea"), odds_rules=rules).rule_factor


def test_a_rule_that_does_not_fit_is_refused(films: Cinema) -> None:
    numbers = Filter((Condition("theme", Equals(Kind.NUMBER, 1.0)),))
    rules = (OddsRule("odd one", 2.0, numbers, frozenset(), 3),)
    with pytest.raises(InvalidArgument, match=r"rules\[3\]\.filter\.all_of\[0\]\.equals: is"):
        films.candidates(query=direction("sea"), odds_rules=rules)


def test_a_penalty_takes_its_share(tmp_path: Path) -> None:
    with cinema(tmp_path, film("jaws", penalty=0.75)) as films:
        pool = films.candidates(query=direction("sea"))
        at = pool.ids.index("jaws")
        assert pool.penalty.tolist() == [0.75 if each == "jaws" else 0 for each in pool.ids]
        assert pool.relevance[at] == pytest.approx(0.25 * pool.estimate[at])


def test_what_was_shown_lately_gives_way(films: Cinema) -> None:
    films.is_shown("ann", "jaws", "moon", ago=2 * HOUR)
    films.is_shown("ann", "moon")
    films.is_shown("bob", "big")
    asked = {"user_id": "ann", "query": direction("sea")}
    assert not films.candidates(**asked).rotation.any()
    pool = films.candidates(**asked, rotation=Rotation(0.8, 2 * HOUR))
    lost = dict(zip(pool.ids, pool.rotation.tolist(), strict=True))
    assert lost["jaws"] == pytest.approx(0.4, abs=1e-3)
    assert lost["moon"] == pytest.approx(0.8, abs=1e-3)
    assert lost["big"] == 0
    assert pool.relevance == pytest.approx(pool.estimate * (1 - pool.rotation))


def test_popularity_is_measured_on_the_catalogue(films: Cinema) -> None:
    films.crowd(9, "jaws")
    films.crowd(1, "up", "big")
    pool = films.candidates(query=direction("sea"))
    scale = films.view.state.popularity.scale()
    assert value(pool, pool.mass, "jaws") == 9
    assert pool.evidence.popularity == pytest.approx(scale.relative_log(pool.mass))
    assert value(pool, pool.evidence.bucket, "jaws") == Bucket.HEAD
    assert value(pool, pool.evidence.bucket, "moon") == Bucket.TAIL


def test_an_estimate_is_that_of_the_profile(films: Cinema) -> None:
    pool = films.candidates(query=direction("sea"))
    model = films.profiles.profile.models[Context.QUERY]
    assert pool.features.shape == (len(FILMS), len(FEATURES))
    assert pool.estimate == pytest.approx(model.probability(pool.features))
    assert pool.relevance == pytest.approx(pool.estimate)


def test_however_much_was_seen_the_pool_is_full(tmp_path: Path) -> None:
    with cinema(tmp_path, size=100) as films:
        films.written.upsert(*(item(f"i{number:03}", number) for number in range(600)))
        state = films.view.state
        query = unit(7)
        nearest, _ = state.index.search(query, 700, state.scope(10**15, None))
        seen = [state.columns.ids[row] for row in nearest[:450]]
        films.does("ann", *seen, value=-1.0)
        found = films.candidates(user_id="ann", query=query)
        expected = [state.columns.ids[row] for row in nearest[450:550]]
        assert found.ids == expected


def test_behaviour_looks_beyond_what_may_not_be_recommended(tmp_path: Path) -> None:
    with cinema(tmp_path, size=4) as films:
        others = [f"i{number:02}" for number in range(30)]
        films.written.upsert(*(item(each, at, shelf="back") for at, each in enumerate(others)))
        films.crowd(20, "heat", *others)
        films.crowd(2, "heat", "jaws", "up")
        films.does("ann", "heat")
        pool = films.candidates(
            user_id="ann", filter=Filter((Condition("theme", theme("sea").all_of[0].test),))
        )
        assert pool.ids == ["jaws"]
        assert pool.evidence.behaviour[0] > 0


def test_an_empty_catalogue_has_no_candidates(tmp_path: Path) -> None:
    with cinema(tmp_path) as films:
        films.written.remove(*FILMS)
        asked: tuple[dict[str, object], ...] = ({}, {"query": direction("sea")}, {"user_id": "ann"})
        for each in asked:
            assert films.candidates(**each).ids == []
