"""Vectors of the caller's own: as examples, as candidates, and as terms of P(relevant)."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from longtail.runtime.errors import InvalidArgument
from longtail.server.ranking.evidence import FEATURES
from longtail.server.ranking.profile import Context
from longtail.server.ranking.relevance import RelevanceModel
from longtail.server.recommend.answer import Answer
from longtail.server.recommend.request import FrozenCandidates, ItemExample, VectorExample
from longtail.server.rpc.write.recommendation import listed as explained
from longtail.server.store.records import ItemContent, NewItem, Vector, VectorSpace
from longtail.v1 import recommendation_service_pb2 as pb

from tests.films import FILMS
from tests.unit.server.cinema import Cinema, cinema, direction, film, like_it

# Colours of posters, one number each: unlike their themes.
COLOURS = {
    "red": ("alien", "amelie", "heat"),
    "green": ("moon", "ratatouille", "jaws"),
    "blue": ("solaris", "big", "ronin"),
}
SPACE = len(FEATURES)


def colour(name: str, shade: float = 0.0) -> Vector:
    vector = np.zeros(4, np.float32)
    vector[list(COLOURS).index(name)] = 1.0
    vector[3] = shade
    return (vector / np.float32(np.linalg.norm(vector))).astype(np.float32)


def poster(space: VectorSpace, item_id: str, name: str, shade: float = 0.0) -> NewItem:
    """Return what has a poster and no text."""
    content = ItemContent(item_id, "", "", {}, 0.0)
    return NewItem(content, None, False, {space: colour(name, shade)})


def shown(name: str, weight: float = 1.0) -> tuple[VectorExample, ...]:
    return (VectorExample(colour(name), weight, 0, "poster"),)


class Posters:
    """A cinema, some films of which have posters, and posters that belong to no film."""

    def __init__(self, films: Cinema) -> None:
        self.films = films
        self.space = films.written.declare("poster", 4)
        films.written.upsert(
            *(
                replace(film(each), extra_vectors={self.space: colour(name, at / 10)})
                for name, theirs in COLOURS.items()
                for at, each in enumerate(theirs)
            ),
            poster(self.space, "red one", "red", 0.05),
            poster(self.space, "red two", "red", 0.05),
            poster(self.space, "green one", "green", 0.05),
        )

    def answer(self, **given: object) -> Answer:
        return self.films.answer(**given)  # type: ignore[arg-type]


@pytest.fixture
def posters(tmp_path: Path) -> Iterator[Posters]:
    with cinema(tmp_path, size=6) as films:
        yield Posters(films)


def feature(answer: Answer, item_id: str) -> float:
    pool = answer.candidates
    return float(pool.features[pool.ids.index(item_id), SPACE])


def test_an_example_finds_what_is_near_in_its_space(posters: Posters) -> None:
    answer = posters.answer(examples=shown("red"))
    pool = answer.candidates
    assert answer.context.kind is Context.QUERY
    assert answer.context.interests == ()
    assert set(pool.ids[:5]) == {"alien", "amelie", "heat", "red one", "red two"}
    assert not pool.parts.any()
    # Two that look the same are two.
    assert pool.features.shape == (6, SPACE + 1)


def test_its_cosine_is_a_feature_that_counts_as_the_text(posters: Posters) -> None:
    answer = posters.answer(query=direction("space"), examples=shown("red"))
    pool, names = answer.candidates, answer.candidates.model.names
    assert names[SPACE] == "space:poster"
    weights = posters.films.profiles.profile.models[Context.QUERY].weights
    assert pool.model.weights[SPACE] == weights[FEATURES.index("text")]
    rows = posters.films.view.state.spaces["poster"]
    having = rows.has(pool.rows)
    cosines = rows.vectors(pool.rows)[having] @ colour("red")
    standing = (cosines - cosines.mean()) / cosines.std()
    assert pool.features[having, SPACE] == pytest.approx(standing, abs=1e-4)
    # What has no poster, and what has no text, stands where the average does.
    assert not pool.features[~having, SPACE].any()
    bare = pool.ids.index("red one")
    assert pool.features[bare, FEATURES.index("text")] == 0
    assert np.isfinite(pool.features).all()
    assert np.isfinite(pool.relevance).all()
    # Red and in space is the first.
    assert pool.ids[int(pool.relevance.argmax())] == "alien"


def test_a_weight_of_the_profile_counts(posters: Posters) -> None:
    profile = posters.films.profiles.profile
    model = RelevanceModel.of(-1.0, {"text": 0.5, "space:poster": -2.0})
    posters.films.profiles.profile = replace(profile, models=dict.fromkeys(Context, model))
    answer = posters.answer(examples=shown("red"))
    assert answer.candidates.model.weights[SPACE] == -2.0
    assert answer.candidates.ids[int(answer.candidates.relevance.argmin())] in COLOURS["red"]


def test_an_item_is_all_the_vectors_that_it_has(posters: Posters) -> None:
    answer = posters.answer(item_examples=like_it("alien"))
    [beside] = answer.context.beside
    assert beside.directions[0] == pytest.approx(colour("red"))
    assert len(answer.context.interests) == 1
    assert {"moon", "amelie"} & set(answer.candidates.ids)
    alone = posters.answer(item_examples=like_it("red one"))
    assert alone.context.interests == ()
    assert alone.context.kind is Context.HISTORY
    assert {"alien", "amelie", "red two"} <= set(alone.candidates.ids)


def test_an_item_can_be_meant_by_one_vector(posters: Posters) -> None:
    answer = posters.answer(item_examples=(ItemExample("alien", 1.0, 0, "poster"),))
    assert answer.context.interests == ()
    assert answer.context.missing == ()
    assert set(answer.candidates.ids[:4]) == {"amelie", "heat", "red one", "red two"}
    lacking = posters.answer(item_examples=(ItemExample("up", 1.0, 0, "poster"),))
    assert lacking.context.missing == ("up",)
    assert lacking.context.kind is Context.NOTHING
    unknown = posters.answer(item_examples=(ItemExample("up", 1.0, 0, "sound"),))
    assert unknown.context.missing == ("up",)


def test_a_history_is_wanted_by_its_posters(posters: Posters) -> None:
    posters.films.does("ann", "red one")
    answer = posters.answer(user_id="ann")
    assert answer.context.kind is Context.HISTORY
    assert answer.context.interests == ()
    assert {"red two", "alien"} <= set(answer.candidates.ids)
    posters.films.does("ann", "jaws")
    both = posters.answer(user_id="ann").context
    assert len(both.interests) == 1
    assert len(both.beside[0].interests) == 2


def test_beside_a_query_a_history_says_nothing_by_its_posters(posters: Posters) -> None:
    posters.films.does("ann", "jaws")
    assert posters.answer(user_id="ann", query=direction("space")).context.beside == ()
    asked = {"user_id": "ann", "query": direction("space"), "examples": shown("red")}
    [beside] = posters.answer(**asked).context.beside
    # It refines what an example says.
    assert beside.interests[0].parts[2].any()


def test_what_is_pushed_away_proposes_nothing_and_counts(posters: Posters) -> None:
    plain = posters.answer(query=direction("space"))
    answer = posters.answer(query=direction("space"), examples=shown("red", -1.0))
    assert answer.candidates.ids == plain.candidates.ids
    assert feature(answer, "alien") < 0 < feature(answer, "moon")
    alone = posters.answer(examples=shown("red", -1.0))
    assert alone.candidates.ids


def test_examples_that_cancel_in_their_space_are_refused(posters: Posters) -> None:
    with pytest.raises(InvalidArgument, match="cancel"):
        posters.answer(query=direction("space"), examples=(*shown("red"), *shown("red", -1.0)))


def test_spaces_and_texts_propose_alike(tmp_path: Path) -> None:
    with cinema(tmp_path, size=6) as films:
        asked = {"query": direction("crime"), "examples": shown("green")}
        ids = Posters(films).answer(**asked).candidates.ids
    assert set(ids[:2]) == {"heat", "ronin"}
    assert {"moon", "green one", "ratatouille"} <= set(ids[3:])


def test_a_filter_and_what_was_seen_leave_out_posters_too(posters: Posters) -> None:
    posters.films.does("ann", "red one")
    answer = posters.answer(user_id="ann", examples=shown("red"), excluded=frozenset({"alien"}))
    assert not {"red one", "alien"} & set(answer.candidates.ids)
    assert "red two" in answer.candidates.ids


def test_it_is_explained(posters: Posters) -> None:
    answer = posters.answer(query=direction("space"), examples=shown("red"), page_size=6)
    results = {each.item_id: each for each in explained(answer, pb.EXPLAIN_FULL)}
    bare = results["red one"]
    assert bare.reasons[0] == pb.REASON_EXAMPLES
    [space] = bare.breakdown.spaces
    assert (space.space, space.from_history) == ("poster", 0)
    assert space.similarity == space.from_examples == pytest.approx(0.998, abs=1e-2)
    assert bare.breakdown.similarity == 0
    terms = {term.feature: term.log_odds for term in bare.breakdown.terms}
    assert terms["space:poster"] > 0
    assert sum(terms.values()) == pytest.approx(
        np.log(bare.breakdown.estimate / (1 - bare.breakdown.estimate)), rel=1e-6
    )
    unposted = next(each for key, each in results.items() if key in {"wall-e", "robots"})
    assert not unposted.breakdown.spaces
    assert pb.REASON_QUERY in unposted.reasons


def test_an_item_out_of_the_list_is_explained(posters: Posters) -> None:
    answer = posters.answer(query=direction("space"), examples=shown("red"))
    alone = posters.films.recommender.alone(answer, "green one")
    assert alone is not None
    assert alone.features.shape == (1, SPACE + 1)
    assert 0 < alone.relevance[0] < 1


def test_a_later_page_is_on_the_scale_of_the_first(posters: Posters) -> None:
    asked = {"query": direction("space"), "examples": shown("red")}
    first = posters.answer(**asked).candidates
    left = FrozenCandidates(tuple(first.ids[2:]), first.scale, 2)
    assert posters.answer(**asked, frozen=left).candidates.estimate == pytest.approx(
        first.estimate[2:]
    )
    # Without the space nothing is left of its scale.
    posters.films.written.delete_space("poster")
    again = posters.answer(query=direction("space"), frozen=left).candidates
    assert again.features.shape[1] == SPACE
    assert set(again.ids) <= FILMS.keys()


def test_what_only_behaviour_leads_to_needs_no_text(posters: Posters) -> None:
    posters.films.crowd(8, "jaws", "blue one")
    posters.films.written.upsert(poster(posters.space, "blue one", "blue"))
    posters.films.does("ann", "jaws")
    pool = posters.answer(user_id="ann").candidates
    assert "blue one" in pool.ids
    assert np.isfinite(pool.relevance).all()
