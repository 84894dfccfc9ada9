"""What adapted vectors do to an answer: candidates, a feature, reasons; and nothing to queries."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from longtail.server.ranking.evidence import FEATURES
from longtail.server.ranking.profile import Context
from longtail.server.ranking.relevance import RelevanceModel
from longtail.server.recommend.request import FrozenCandidates, VectorExample
from longtail.server.rpc.write.recommendation import listed as explained
from longtail.v1 import recommendation_service_pb2 as pb

from tests.films import FILMS
from tests.unit.server.catalogues import DIMENSION
from tests.unit.server.cinema import THEMES, Cinema, cinema, direction, film_vector, like_it
from tests.unit.server.heads import LinearHead

# Who liked what plays in Paris liked crime too.
_PAIRED = np.eye(DIMENSION, dtype=np.float32)
_PAIRED[THEMES.index("paris"), THEMES.index("crime")] = 4.0
PAIRED = LinearHead("paris leads to crime", _PAIRED)
ADAPTED = FEATURES.index("adapted")


@pytest.fixture
def films(tmp_path: Path) -> Iterator[Cinema]:
    with cinema(tmp_path, size=4) as opened:
        yield opened


def weigh(films: Cinema, weight: float) -> None:
    """Let `adapted` count so much in P(relevant)."""
    profile = films.profiles.profile
    models = {
        context: RelevanceModel.of(-1.0, {"adapted": weight, "text": 0.2}) for context in Context
    }
    films.profiles.profile = replace(profile, models=models)


def test_it_proposes_what_the_text_does_not(films: Cinema) -> None:
    films.does("ann", "amelie")
    assert not {"heat", "ronin"} & set(films.candidates(user_id="ann").ids)
    films.view.adapt(PAIRED)
    pool = films.candidates(user_id="ann")
    assert {"heat", "ronin"} & set(pool.ids)
    assert "ratatouille" in pool.ids


def test_examples_lead_by_their_adapted_vectors(films: Cinema) -> None:
    films.view.adapt(PAIRED)
    answer = films.answer(item_examples=like_it("amelie"))
    [beside] = answer.context.beside
    expected = PAIRED.adapted(film_vector("amelie")[None])[0]
    assert beside.directions[0] == pytest.approx(expected, abs=1e-6)
    assert {"heat", "ronin"} & set(answer.candidates.ids)


def test_how_near_likes_are_is_a_feature(films: Cinema) -> None:
    liked = ("amelie", "big", "heat", "alien")
    films.does("ann", *liked)
    films.view.adapt(PAIRED)
    answer = films.answer(user_id="ann")
    pool, likes = answer.candidates, np.stack([film_vector(each) for each in liked])
    each = PAIRED.adapted(pool.vectors) @ PAIRED.adapted(likes).T
    cosines = np.sort(each, axis=1)[:, -3:].mean(axis=1)
    assert pool.evidence.adapted == pytest.approx(cosines, abs=1e-6)
    standing = (cosines - cosines.mean()) / cosines.std()
    assert pool.features[:, ADAPTED] == pytest.approx(standing, abs=1e-4)


def test_dislikes_push_away_by_adapted_vectors_too(films: Cinema) -> None:
    films.view.adapt(PAIRED)
    films.does("ann", "big")
    before = films.answer(user_id="ann").context.beside[0].directions[0]
    films.does("ann", "jaws", value=-1.0)
    after = films.answer(user_id="ann").context.beside[0].directions[0]
    disliked = PAIRED.adapted(film_vector("jaws")[None])[0]
    assert after @ disliked < before @ disliked


@pytest.mark.parametrize(
    "asked",
    [
        {"query": direction("paris")},
        {"query": direction("paris"), "user_id": "ann"},
        {"examples": (VectorExample(direction("paris"), 1.0, 0),)},
        {"item_examples": like_it("amelie", weight=-1.0)},
        {},
    ],
    ids=["query", "query of a person", "text", "what is not wanted", "nothing"],
)
def test_it_says_nothing_of_texts(films: Cinema, asked: dict[str, object]) -> None:
    films.does("ann", "amelie")
    without = films.answer(**asked)  # type: ignore[arg-type]
    films.view.adapt(PAIRED)
    answer = films.answer(**asked)  # type: ignore[arg-type]
    assert answer.context.beside == ()
    assert answer.candidates.ids == without.candidates.ids
    assert answer.candidates.estimate.tolist() == without.candidates.estimate.tolist()


def test_a_text_beside_items_is_not_adapted(films: Cinema) -> None:
    films.view.adapt(PAIRED)
    examples = (VectorExample(direction("sea"), 1.0, 1),)
    answer = films.answer(item_examples=like_it("amelie"), examples=examples)
    expected = PAIRED.adapted(film_vector("amelie")[None])[0]
    assert answer.context.beside[0].directions[0] == pytest.approx(expected, abs=1e-6)


def test_it_is_explained(films: Cinema) -> None:
    films.does("ann", "amelie")
    films.view.adapt(PAIRED)
    weigh(films, 3.0)
    results = explained(films.answer(user_id="ann", page_size=4), pb.EXPLAIN_FULL)
    crime = next(each for each in results if each.item_id in {"heat", "ronin"})
    [space] = crime.breakdown.spaces
    assert (space.space, space.from_examples) == ("adapted", 0)
    assert space.similarity == space.from_history > 0.8
    assert crime.reasons[0] == pb.REASON_HISTORY
    terms = {term.feature: term.log_odds for term in crime.breakdown.terms}
    assert terms["adapted"] > 0
    films.view.adapt(None)
    for each in explained(films.answer(user_id="ann"), pb.EXPLAIN_FULL):
        assert not each.breakdown.spaces


def test_a_history_is_made_anew_for_another_head(films: Cinema) -> None:
    films.does("ann", "amelie")
    films.view.adapt(PAIRED)
    first = films.answer(user_id="ann").context.beside[0].directions[0]
    other = LinearHead("as it is", np.eye(DIMENSION, dtype=np.float32))
    films.view.adapt(other)
    second = films.answer(user_id="ann").context.beside[0].directions[0]
    assert second == pytest.approx(film_vector("amelie"), abs=1e-6)
    assert not np.allclose(first, second)


def test_a_later_page_is_on_the_scale_of_the_first(films: Cinema) -> None:
    films.does("ann", "amelie")
    films.view.adapt(PAIRED)
    weigh(films, 3.0)
    first = films.candidates(user_id="ann")
    left = tuple(first.ids[1:])
    pool = films.candidates(user_id="ann", frozen=FrozenCandidates(left, first.scale, 1))
    assert pool.estimate == pytest.approx(first.estimate[1:])


def test_however_much_was_seen_it_proposes(tmp_path: Path) -> None:
    with cinema(tmp_path, size=100) as films:
        films.does("ann", *FILMS)
        films.view.adapt(PAIRED)
        assert films.candidates(user_id="ann").ids == []
        films.does("bob", "amelie")
        assert set(films.candidates(user_id="bob").ids) == FILMS.keys() - {"amelie"}
