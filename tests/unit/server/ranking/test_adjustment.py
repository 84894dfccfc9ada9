import numpy as np
import pytest
from longtail.server.ranking.adjustment import adjusted, faded

NONE = np.zeros(1)


def test_nothing_to_adjust_changes_nothing() -> None:
    estimate = np.array([0.001, 0.3, 0.999])
    relevance = adjusted(estimate, np.ones(3), np.zeros(3), np.zeros(3))
    assert relevance == pytest.approx(estimate)


def test_rules_multiply_the_odds() -> None:
    # Odds of 1/4, times 8.
    assert adjusted(np.array([0.2]), np.array([8.0]), NONE, NONE) == pytest.approx([2 / 3])
    assert adjusted(np.array([0.2]), np.array([1 / 8]), NONE, NONE) == pytest.approx([1 / 33])


def test_a_boost_never_makes_certain() -> None:
    assert adjusted(np.array([0.99]), np.array([1000.0]), NONE, NONE)[0] < 1


def test_penalty_and_rotation_are_taken_off_one_after_the_other() -> None:
    relevance = adjusted(np.array([0.5]), np.array([3.0]), np.array([0.2]), np.array([0.5]))
    assert relevance == pytest.approx([0.75 * 0.8 * 0.5])


def test_what_is_taken_off_whole_still_has_a_relevance() -> None:
    assert 0 < adjusted(np.array([0.9]), np.ones(1), np.ones(1), NONE)[0] < 1e-6


def test_what_was_shown_comes_back_by_half_lives() -> None:
    lost = faded(0.8, 3600.0, np.array([0.0, 3600.0, 7200.0, np.inf]))
    assert lost == pytest.approx([0.8, 0.4, 0.2, 0.0])


def test_a_clock_ahead_does_not_take_off_more() -> None:
    assert faded(0.5, 1.0, np.array([-10.0])) == pytest.approx([0.5])
