import math

import numpy as np
import pytest

from evaluation.relevance_metrics import (
    WEIGHT_LIMIT,
    effective_sample_size,
    inverse_propensities,
    limited,
    ndcg,
    opportunity_gap,
    recall,
    reciprocal_rank,
)


def test_the_relevance_of_lists_is_that_of_the_formulas() -> None:
    random = np.random.default_rng(0)
    for _ in range(100):
        k = int(random.integers(1, 8))
        hits = random.random((5, k)) < 0.4
        relevant = hits.sum(axis=1) + random.integers(0, 6, 5)
        for row, count, gain, share, first in zip(
            hits,
            relevant,
            ndcg(hits, relevant),
            recall(hits, relevant),
            reciprocal_rank(hits),
            strict=True,
        ):
            places = [place for place, hit in enumerate(row, start=1) if hit]
            assert first == (1 / places[0] if places else 0)
            if count == 0:
                assert np.isnan([gain, share]).all()
                continue
            ideal = sum(1 / math.log2(place + 1) for place in range(1, min(k, count) + 1))
            assert gain == pytest.approx(sum(1 / math.log2(p + 1) for p in places) / ideal)
            assert share == pytest.approx(len(places) / count)


def test_a_perfect_list_has_an_ndcg_of_one_but_a_recall_that_its_length_bounds() -> None:
    hits, relevant = np.ones((1, 3), np.bool_), np.array([12])
    assert ndcg(hits, relevant) == pytest.approx([1])
    assert recall(hits, relevant) == pytest.approx([0.25])


def test_weights_fall_with_popularity_by_gamma() -> None:
    popularity = np.array([0.0, 1.0, 4.0])
    assert inverse_propensities(popularity, 2.0) == pytest.approx([1, 1, 1 / 8])
    assert inverse_propensities(popularity, 1.0) == pytest.approx([1, 1, 1 / 4])


def test_no_weight_is_above_the_limit() -> None:
    weights = np.append(np.full(99, 0.001), 1.0)
    cut = limited(weights)
    assert cut[-1] == pytest.approx(WEIGHT_LIMIT * weights.mean())
    assert (cut[:-1] == weights[:-1]).all()
    assert limited(np.array([])).shape == (0,)


def test_equal_weights_are_worth_their_number_and_one_alone_is_worth_one() -> None:
    assert effective_sample_size(np.full(7, 0.3)) == pytest.approx(7)
    assert effective_sample_size(np.array([1.0, 0.0, 0.0])) == pytest.approx(1)
    assert effective_sample_size(np.array([])) == 0


def test_the_gap_is_zero_when_groups_fare_alike_and_one_when_one_gets_all() -> None:
    assert opportunity_gap(np.array([10, 1]), np.array([100, 10])) == pytest.approx(0)
    assert opportunity_gap(np.array([10, 0]), np.array([100, 10])) == pytest.approx(1)
    assert opportunity_gap(np.array([30, 1]), np.array([100, 10])) == pytest.approx(0.5)


def test_the_gap_has_no_value_without_hits_or_without_a_group() -> None:
    assert np.isnan(opportunity_gap(np.array([0, 0]), np.array([100, 10])))
    assert np.isnan(opportunity_gap(np.array([3, 0]), np.array([100, 0])))
