"""Shares of the candidates go to whatever proposes what people liked later."""

import numpy as np
from longtail.server.ranking.retrieval import LEAST_TEXT, Sources

from evaluation import sources as module
from evaluation.dataset import Dataset
from evaluation.sources import WORDS, Places, fitted_sources, fitted_words
from evaluation.splits import Part
from evaluation.task import Matrix
from evaluation.world import World
from tests.unit.evaluation.invented_data import LIKED, dataset, part_of_rows, vectors

USUAL = Sources(behaviour=0.3, popularity=0.3, words=0.5)


def fitted(data: Dataset, made: Matrix, pool: int = 40) -> Sources:
    part, likes = part_of_rows(dataset()), data.ratings >= LIKED
    world = World(data, likes, data.ratings <= 2, part < Part.TEST, made)
    return fitted_sources(world, data, (part == Part.TEST) & likes, pool, 0, USUAL)


def test_what_is_found_is_among_the_first_proposals_of_a_source() -> None:
    places = Places(
        behaviour=np.array([0.0, 4, 5, np.inf, np.inf, 9]),
        popularity=np.array([9.0, 9, 9, 1, 2, 9]),
        vectors=np.array([9.0, 9, 9, 9, 2, 3]),
    )
    assert places.found(Sources(0.5, 0.2, 0.5), 10) == 4 / 6
    assert places.found(Sources(0.6, 0.2, 0.5), 10) == 4 / 6
    assert places.found(Sources(0.6, 0.0, 0.5), 10) == 5 / 6


def test_where_texts_say_nothing_text_shrinks() -> None:
    data, random = dataset(), np.random.default_rng(0)
    noise = random.normal(size=(len(data.item_ids), 24))
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    said, unsaid = fitted(data, vectors(data)), fitted(data, noise.astype(np.float32))
    of_text = [1 - each.behaviour - each.popularity for each in (said, unsaid)]
    assert of_text[0] > of_text[1] >= LEAST_TEXT - 1e-9


def test_where_all_find_the_same_the_usual_shares_stand() -> None:
    # So many candidates hold everything.
    assert fitted(dataset(), vectors(dataset()), pool=2000) == USUAL


def test_without_anybody_to_go_by_the_usual_shares_stand() -> None:
    data = dataset()
    world = World(data, data.ratings >= LIKED, data.ratings <= 2, data.ratings > 9, vectors(data))
    nobody = np.zeros(len(data.ratings), np.bool_)
    assert fitted_sources(world, data, nobody, 20, 0, USUAL) == USUAL
    assert not len(module._places(world, data, data.ratings >= LIKED, 0, USUAL).vectors)


def test_words_count_what_finds_most_and_the_usual_where_nothing_tells() -> None:
    assert fitted_words(lambda share: share, 0.5) == max(WORDS)
    assert fitted_words(lambda share: 1 - share, 0.5) == min(WORDS)
    assert fitted_words(lambda share: 0.3 + share / 1000, 0.5) == 0.5
