import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from longtail.server.ranking.exploration import (
    affordable,
    inclusion_probabilities,
    systematic_sample,
)

sizes = st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=30)


def test_probabilities_are_in_proportion() -> None:
    assert inclusion_probabilities(np.array([1.0, 2.0, 1.0]), 1) == pytest.approx([0.25, 0.5, 0.25])


def test_what_would_exceed_one_is_certain_and_the_others_share_the_rest() -> None:
    probability = inclusion_probabilities(np.array([100.0, 3.0, 1.0]), 2)
    assert probability == pytest.approx([1, 0.75, 0.25])


@given(sizes, st.data())
def test_probabilities_add_up_and_keep_the_order_of_size(
    size: list[float], data: st.DataObject
) -> None:
    count = data.draw(st.integers(1, len(size)))
    probability = inclusion_probabilities(np.array(size), count)
    assert probability.sum() == pytest.approx(count)
    assert (probability > 0).all()
    assert (probability <= 1).all()
    below = probability < 1
    if below.any():
        ratio = probability[below] / np.array(size)[below]
        assert ratio == pytest.approx(np.full(below.sum(), ratio[0]))


@given(sizes, st.data())
def test_as_many_are_drawn_as_asked_for_each_once(size: list[float], data: st.DataObject) -> None:
    count = data.draw(st.integers(1, len(size)))
    probability = inclusion_probabilities(np.array(size), count)
    seed = data.draw(st.integers(0, 2**32))
    drawn = systematic_sample(probability, np.random.default_rng(seed)).tolist()
    assert len(set(drawn)) == count
    assert drawn == sorted(drawn)
    assert set(np.flatnonzero(probability == 1).tolist()) <= set(drawn)
    assert drawn == systematic_sample(probability, np.random.default_rng(seed)).tolist()


def test_items_are_drawn_as_often_as_stated() -> None:
    probability = inclusion_probabilities(np.array([0.9, 0.5, 0.3, 0.1, 0.05, 0.01]), 3)
    draws = 20_000
    generator = np.random.default_rng(11)
    count = np.zeros(len(probability))
    for _ in range(draws):
        count[systematic_sample(probability, generator)] += 1
    error = np.sqrt(probability * (1 - probability) / draws)
    assert (np.abs(count / draws - probability) <= 4 * error + 1e-12).all()


def test_affordable_is_the_longest_prefix_without_a_draw_below_the_least() -> None:
    generator = np.random.default_rng(2)
    for _ in range(300):
        n = int(generator.integers(1, 8))
        relevance = np.sort(generator.random(n))[::-1]
        discounts = np.sort(generator.random(int(generator.integers(1, n + 1))))[::-1]
        least = generator.random() * 2
        longest = 0
        for prefix in range(len(discounts), n + 1):
            draws = itertools.combinations(relevance[:prefix], len(discounts))
            if all(np.array(draw) @ discounts >= least for draw in draws):
                longest = prefix
        assert affordable(relevance, discounts, least) == longest
