from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, strategies
from longtail.server.ranking.exposure import (
    EXPECTED_WEIGHT,
    SELDOM,
    Floats,
    blended,
    rarity,
    settled,
)


def test_the_less_an_item_is_shown_the_rarer_it_is() -> None:
    exposure = SELDOM * np.array([0.0, 1.0, 3.0, 99.0])
    assert rarity(exposure) == pytest.approx([1, 0.5**0.5, 0.5, 0.1])


def test_rarity_is_the_slope_of_a_square_root() -> None:
    exposure, step = SELDOM * np.array([0.0, 0.5, 1.0, 20.0]), 1e-8

    def worth(shown: Floats) -> Floats:
        root: Floats = 2 * SELDOM * np.sqrt(1 + shown / SELDOM)
        return root

    slope = (worth(exposure + step) - worth(exposure)) / step
    assert rarity(exposure) == pytest.approx(slope, rel=1e-5)


def test_without_impressions_what_is_expected_holds() -> None:
    expected = np.array([0.0, 0.5, 2.5])
    assert blended(expected, np.zeros(3), 0.0) == pytest.approx(expected)


def test_one_impression_each_is_worth_more_than_what_is_expected() -> None:
    expected, counts = np.array([2.0, 0.0]), np.array([0.0, 2.0])
    found = blended(expected, counts, 1.0)
    # As if what is expected were so many more impressions of each item.
    both = EXPECTED_WEIGHT * expected + counts
    assert found == pytest.approx(both / both.mean())
    assert found[1] > 1 > found[0]


@given(
    strategies.lists(
        strategies.tuples(strategies.floats(0.01, 100), strategies.floats(0, 1e4)),
        min_size=1,
        max_size=8,
    )
)
def test_the_average_stays_one_and_many_impressions_decide(
    items: list[tuple[float, float]],
) -> None:
    expected, counts = np.array(items).T
    expected = expected / expected.mean()
    found = blended(expected, counts, float(counts.mean()))
    assert found.mean() == pytest.approx(1)
    many = counts * 1e6 + 1e6
    found = blended(expected, many, float(many.mean()))
    assert found == pytest.approx(many / many.mean(), rel=1e-4, abs=1e-4)


def best_of_all(relevance: Floats, price: float) -> tuple[list[Floats], Callable[[Floats], Floats]]:
    """Return a re-ranker that shows the best item alone, and what it has shown."""
    seen: list[Floats] = []

    def shown(exposure: Floats) -> Floats:
        counts = np.zeros(len(relevance))
        counts[np.argmax(relevance + price * rarity(exposure))] = 10.0
        seen.append(counts)
        return counts

    return seen, shown


def balance(gap: float, price: float) -> float:
    """Return the exposure of the better of two items at which both are worth the same."""
    low, high = 0.0, 2.0
    for _ in range(60):
        middle = (low + high) / 2
        better, worse = rarity(np.array([middle, 2 - middle]))
        low, high = (middle, high) if gap + price * better > price * worse else (low, middle)
    return low


@pytest.mark.parametrize("gap", [0.0, 0.05, 0.1, 0.2])
def test_what_swings_settles_on_its_balance(gap: float) -> None:
    seen, shown = best_of_all(np.array([0.5 + gap, 0.5]), price=1.0)
    found = settled(shown, 2)
    # No iterate is near: each shows one of both and never the other.
    assert {tuple(counts) for counts in seen} == {(10, 0), (0, 10)}
    assert found == pytest.approx([balance(gap, 1.0), 2 - balance(gap, 1.0)], abs=0.15)
    assert found.sum() == pytest.approx(2)


def test_what_is_shown_under_any_price_is_what_is_settled_on() -> None:
    counts = np.array([3.0, 1.0, 0.0])
    found = settled(lambda _exposure: counts, 3)
    # Nothing is left of the even exposure that it starts from.
    assert found == pytest.approx(counts * 3 / 4)
