"""The exact re-ranking against brute force over all lists."""

import itertools

import numpy as np
import pytest

from server.ranking.quota import Policy, Selection, select


def brute_force(
    relevance: np.ndarray, tail: np.ndarray, k: int, policy: Policy
) -> tuple[float, bool]:
    """Return the best objective over every ordered list of k that the policy allows."""
    discount = 1 / np.log2(np.arange(2, k + 2))
    lists = [np.array(order) for order in itertools.permutations(range(len(relevance)), k)]
    dcgs = np.array([(relevance[order] * discount).sum() for order in lists])
    tails = np.array([tail[order].sum() for order in lists])
    best = dcgs.max()
    allowed = 1 - dcgs / best <= policy.relevance_budget + 1e-12
    needed = int(np.ceil(policy.min_tail_fraction * k - 1e-9))
    met = tails[allowed].max() >= needed
    allowed &= tails >= min(needed, tails[allowed].max())
    values = (1 - policy.strength) * dcgs / best + policy.strength**2 * tails / k
    return float(values[allowed].max()), bool(met)


def objective(selection: Selection) -> float:
    return float(selection.gains.sum() + selection.bonuses.sum())


def test_no_list_is_better_than_the_chosen_one() -> None:
    random = np.random.default_rng(7)
    for _ in range(400):
        n = int(random.integers(1, 7))
        k = int(random.integers(1, n + 1))
        relevance = random.uniform(0.01, 1, n)
        tail = random.random(n) < random.choice([0.1, 0.5, 0.9])
        policy = Policy(
            strength=float(random.choice([0, 0.2, 0.5, 1])),
            min_tail_fraction=float(random.choice([0, 0.3, 0.5, 1])),
            relevance_budget=float(random.choice([0, 0.02, 0.1, 1])),
        )
        selection = select(relevance, tail, k, policy)
        best, met = brute_force(relevance, tail, k, policy)
        assert objective(selection) == pytest.approx(best, abs=1e-9)
        assert selection.min_tail_fraction_met == met
        assert selection.loss <= policy.relevance_budget
        assert len(set(selection.chosen.tolist())) == k
        assert (np.diff(relevance[selection.chosen]) <= 0).all()
        assert selection.tail_fraction == tail[selection.chosen].mean()


def test_strength_zero_is_pure_relevance() -> None:
    random = np.random.default_rng(3)
    relevance = random.uniform(0.01, 1, 200)
    selection = select(relevance, random.random(200) < 0.5, 10, Policy(strength=0))
    assert selection.chosen.tolist() == np.argsort(-relevance)[:10].tolist()
    assert selection.loss == 0
    assert selection.baseline[selection.chosen].tolist() == list(range(1, 11))


def test_equals_keep_their_order_and_strength_one_still_prefers_relevance() -> None:
    relevance = np.array([0.5, 0.5, 0.5, 0.9, 0.1])
    tail = np.array([False, True, True, False, True])
    assert select(relevance, tail, 2, Policy()).chosen.tolist() == [3, 0]
    assert select(relevance, tail, 2, Policy(strength=1)).chosen.tolist() == [1, 2]


def test_the_budget_stands_when_the_tail_would_cost_more() -> None:
    relevance = np.array([0.9, 0.8, 0.1, 0.1])
    tail = np.array([False, False, True, True])
    policy = Policy(strength=1, min_tail_fraction=1, relevance_budget=0.01)
    selection = select(relevance, tail, 2, policy)
    assert not selection.min_tail_fraction_met
    assert selection.chosen.tolist() == [0, 1]


def test_gains_and_bonuses_account_for_loss_and_tail() -> None:
    random = np.random.default_rng(5)
    relevance = random.uniform(0.01, 1, 60)
    selection = select(relevance, random.random(60) < 0.7, 10, Policy(strength=0.4))
    assert selection.gains.sum() == pytest.approx(0.6 * (1 - selection.loss))
    assert selection.bonuses.sum() == pytest.approx(0.16 * selection.tail_fraction)
