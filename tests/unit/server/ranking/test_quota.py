"""The exact selection against brute force over all lists."""

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
from longtail.server.ranking.divergence import taste_divergence
from longtail.server.ranking.places import discounts
from longtail.server.ranking.popularity import Bucket
from longtail.server.ranking.quota import (
    Candidates,
    Hindrance,
    Limits,
    Places,
    Prices,
    Saturation,
    Selection,
    ideal_dcg,
    relative_loss,
    select,
)
from numpy.typing import NDArray

Floats = NDArray[np.float64]
H, M, T = Bucket


def jensen_shannon(one: Floats, other: Floats) -> float:
    """The entropy of the mean less the mean of the entropies, in bits."""

    def entropy(shares: Floats) -> float:
        held = shares[shares > 0]
        return -float(held @ np.log2(held))

    return entropy((one + other) / 2) - (entropy(one) + entropy(other)) / 2


@dataclass
class Possible:
    """A list, by its definition."""

    items: tuple[int, ...]
    objective: float
    loss: float
    tail: int


def all_lists(candidates: Candidates, places: Places, prices: Prices) -> list[Possible]:
    """Every ordered list: no exchange argument is taken for granted."""
    k = len(places.discounts) + sum(places.held)
    ideal = ideal_dcg(candidates, k)
    possible = []
    for items in itertools.permutations(range(len(candidates.relevance)), len(places.discounts)):
        chosen = list(items)
        dcg = float(sum(candidates.relevance[chosen] * places.discounts))
        counts = np.bincount(candidates.bucket[chosen], minlength=3) + places.held
        objective = dcg / ideal + prices.tail * (counts[T] - places.held[T]) / k
        objective += prices.coverage * candidates.rarity[chosen].sum() / k
        if candidates.taste is not None:
            objective -= prices.taste * jensen_shannon(counts / k, candidates.taste)
        possible.append(Possible(items, objective, dcg + places.taken, int(counts[T])))
    reference = places.reference or max(each.loss for each in possible)
    for each in possible:
        each.loss = 1 - each.loss / reference
    return possible


def objective(selection: Selection) -> float:
    items = selection.gains + selection.tail_bonuses + selection.coverage_bonuses
    return float(items.sum()) - selection.taste_cost


def random_candidates(random: np.random.Generator, n: int) -> Candidates:
    ties = random.random() < 0.3
    relevance = random.choice([0.2, 0.5, 0.9], n) if ties else random.uniform(0.01, 1, n)
    bucket = random.choice(3, n, p=random.dirichlet(np.ones(3))).astype(np.int8)
    return Candidates(
        relevance,
        bucket,
        # Within a bucket the same: then the first of each bucket are the best of it.
        random.random(3)[bucket],
        taste=random.dirichlet(np.ones(3)) if random.random() < 0.5 else None,
    )


def random_places(random: np.random.Generator, k: int, best: float) -> Places:
    if random.random() < 0.5:
        return Places.first(k)
    # The places between pins, and what the pins are worth.
    pins = int(random.integers(1, 3))
    free = np.sort(random.choice(k + pins, k, replace=False))
    held = tuple(np.bincount(random.integers(0, 3, pins), minlength=3).tolist())
    taken = float(random.random())
    weights = discounts(k + pins)[free]
    reference = None
    if random.random() < 0.5:
        reference = (best * float(weights.sum()) + taken) * random.uniform(0.7, 1.1)
    return Places(weights, held, taken, reference)


def saturation(tail: int, reachable: int, most: int, length: int) -> Saturation | None:
    if tail == length:
        return Saturation.LIST
    if tail == most:
        return Saturation.CANDIDATES
    return Saturation.BUDGET if tail == reachable else None


def test_no_list_is_better_than_the_chosen_one() -> None:
    random = np.random.default_rng(7)
    impossible = 0
    for _ in range(1000):
        n = int(random.integers(1, 7))
        k = int(random.integers(1, min(n, 4) + 1))
        candidates = random_candidates(random, n)
        places = random_places(random, k, float(candidates.relevance.max()))
        prices = Prices(*random.choice([0.0, 0.05, 0.3, 2.0], 3))
        limits = Limits(
            float(random.choice([0, 0.3, 0.5, 1])), float(random.choice([0, 0.02, 0.1, 1]))
        )
        possible = all_lists(candidates, places, prices)
        allowed = [each for each in possible if each.loss <= limits.relevance_budget + 1e-12]
        selection = select(candidates, places, prices, limits)
        if not allowed:
            impossible += 1
            assert selection is None
            continue
        assert selection is not None
        length = k + sum(places.held)
        needed = int(np.ceil(limits.min_tail_fraction * length - 1e-9))
        reachable = max(each.tail for each in allowed)
        enough = [each for each in allowed if each.tail >= min(needed, reachable)]
        assert objective(selection) == pytest.approx(max(each.objective for each in enough))
        hindrance = None
        if reachable < needed:
            most = max(each.tail for each in possible)
            hindrance = Hindrance.CANDIDATES if most < needed else Hindrance.BUDGET
        assert selection.hindrance is hindrance
        # What it says of itself is so.
        itself = next(each for each in possible if each.items == tuple(selection.chosen.tolist()))
        assert objective(selection) == pytest.approx(itself.objective)
        assert selection.loss == pytest.approx(max(0.0, itself.loss), abs=1e-11)
        assert selection.loss <= limits.relevance_budget
        assert selection.tail_fraction == itself.tail / length
        most = max(each.tail for each in possible)
        assert selection.saturation is saturation(itself.tail, reachable, most, length)
        assert (np.diff(candidates.relevance[selection.chosen]) <= 0).all()
    assert 0 < impossible < 200


def test_rarity_of_single_items_is_never_worse_than_taking_them_by_relevance() -> None:
    random = np.random.default_rng(8)
    better = 0
    for _ in range(500):
        n, k = 12, int(random.integers(1, 6))
        given = random_candidates(random, n)
        by_relevance = np.argsort(-given.relevance, kind="stable")
        rarity = random.random(n)
        prices = Prices(*random.choice([0.0, 0.1, 0.5], 3))
        picked, plain = (
            select(
                Candidates(given.relevance, given.bucket, rarity, order, given.taste),
                Places.first(k),
                prices,
                Limits(),
            )
            for order in (None, by_relevance)
        )
        assert picked is not None
        assert plain is not None
        assert objective(picked) >= objective(plain) - 1e-12
        better += objective(picked) > objective(plain) + 1e-9
    assert better > 50


def test_without_prices_it_is_pure_relevance() -> None:
    random = np.random.default_rng(3)
    candidates = Candidates(
        random.uniform(0.01, 1, 200), random.integers(0, 3, 200).astype(np.int8), np.zeros(200)
    )
    selection = select(candidates, Places.first(10), Prices(), Limits())
    assert selection is not None
    assert selection.chosen.tolist() == np.argsort(-candidates.relevance)[:10].tolist()
    assert selection.loss == 0
    assert selection.taste_cost == 0


def of(relevance: list[float], bucket: list[Bucket], order: list[int] | None = None) -> Candidates:
    return Candidates(
        np.array(relevance),
        np.array(bucket, np.int8),
        np.zeros(len(bucket)),
        None if order is None else np.array(order),
    )


def test_of_equals_the_earlier_is_taken() -> None:
    candidates = of([0.5, 0.5, 0.5, 0.9], [T, T, T, H])
    selection = select(candidates, Places.first(2), Prices(), Limits())
    assert selection is not None
    assert selection.chosen.tolist() == [3, 0]


def test_the_budget_stands_when_the_tail_would_cost_more() -> None:
    candidates = of([0.9, 0.8, 0.1, 0.1], [H, M, T, T])
    selection = select(candidates, Places.first(2), Prices(tail=9), Limits(1, 0.01))
    assert selection is not None
    assert selection.hindrance is Hindrance.BUDGET
    assert selection.chosen.tolist() == [0, 1]


def test_an_order_says_who_is_taken_first_and_who_at_all() -> None:
    candidates = of([0.9, 0.8, 0.7, 0.6], [M, M, M, M], order=[3, 1, 0])
    selection = select(candidates, Places.first(2), Prices(), Limits())
    assert selection is not None
    assert selection.chosen.tolist() == [1, 3]
    assert selection.loss > 0
    assert select(candidates, Places.first(2), Prices(), Limits(relevance_budget=0.1)) is None


def test_without_free_places_nothing_is_chosen() -> None:
    places = Places(np.empty(0), (1, 0, 1), 0.5, 0.5)
    selection = select(of([0.9], [H]), places, Prices(tail=1), Limits(0.5, 0))
    assert selection is not None
    assert selection.chosen.tolist() == []
    assert selection.tail_fraction == 0.5
    assert selection.hindrance is None


def test_three_tenths_of_ten_are_three() -> None:
    candidates = of([0.9] * 10 + [0.1] * 10, [H] * 10 + [T] * 10)
    selection = select(candidates, Places.first(10), Prices(), Limits(min_tail_fraction=0.3))
    assert selection is not None
    assert selection.tail_fraction == 0.3


@pytest.mark.parametrize("taste", [[1.0, 0.0, 0.0], [0.2, 0.5, 0.3], [0.0, 0.0, 1.0]])
def test_divergence_is_that_of_jensen_and_shannon(taste: list[float]) -> None:
    counts = np.array([[4, 0, 0], [1, 2, 1], [0, 0, 4]])
    expected = [jensen_shannon(row / 4, np.array(taste)) for row in counts]
    assert taste_divergence(np.array(taste), counts) == pytest.approx(expected, abs=1e-12)
    assert (taste_divergence(None, counts) == 0).all()


def test_a_loss_within_rounding_is_none() -> None:
    dcg = np.array([0.3, 0.1 + 0.2, 0.15, 0.6])
    assert relative_loss(dcg, 0.1 + 0.2) == pytest.approx([0, 0, 0.5, 0])
    assert (relative_loss(dcg, 0.1 + 0.2)[[0, 1, 3]] == 0).all()
