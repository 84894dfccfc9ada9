import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.ranking.relevance import INTERCEPT, SLOPE, RelevanceModel

COSINES = st.lists(st.floats(-1, 1), min_size=1, max_size=50)


@given(COSINES)
def test_keeps_the_order_and_stays_between_zero_and_one(scores: list[float]) -> None:
    pool = np.array(scores)
    probability = RelevanceModel.of_pool(pool).probability(pool)
    assert ((probability > 0) & (probability < 1)).all()
    assert (np.diff(probability[np.argsort(pool, kind="stable")]) >= 0).all()


def test_is_the_logistic_function_of_the_standard_score() -> None:
    pool = np.array([0.1, 0.2, 0.6, 0.7])
    z = (pool - pool.mean()) / pool.std()
    expected = 1 / (1 + np.exp(-(SLOPE * z + INTERCEPT)))
    assert RelevanceModel.of_pool(pool).probability(pool) == pytest.approx(expected)


def test_neither_the_offset_nor_the_scale_of_an_encoder_matters() -> None:
    pool = np.array([0.1, 0.2, 0.6, 0.7])
    moved = 0.3 * pool + 0.5
    assert RelevanceModel.of_pool(moved).probability(moved) == pytest.approx(
        RelevanceModel.of_pool(pool).probability(pool)
    )


def test_scores_that_do_not_differ_are_equally_relevant() -> None:
    pool = np.full(5, 0.4) + np.arange(5) * 1e-9
    assert len(set(RelevanceModel.of_pool(pool).probability(pool).tolist())) == 1


def test_a_score_from_outside_the_pool_lies_on_the_same_scale() -> None:
    pool = np.array([0.1, 0.2, 0.6, 0.7])
    model = RelevanceModel.of_pool(pool)
    outside = float(model.probability(np.array([0.4]))[0])
    inside = model.probability(pool)
    assert inside[1] < outside < inside[2]


def test_the_farthest_outlier_is_still_not_certain() -> None:
    model = RelevanceModel.of_pool(np.array([0.5, 0.50001]))
    low, high = model.probability(np.array([-1.0, 1.0]))
    assert 0 < low < high < 1
