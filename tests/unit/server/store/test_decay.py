import math

import pytest
from hypothesis import given, strategies
from longtail.server.store.decay import DecayedSum

HALF_LIFE = 100.0
times = strategies.lists(strategies.integers(0, 2000), min_size=1, max_size=8)


def brute_force(moments: list[int], at: int) -> float:
    return float(sum(0.5 ** ((at - moment) / HALF_LIFE) for moment in moments))


@given(times, times)
def test_parts_can_be_added_in_any_order(first: list[int], second: list[int]) -> None:
    one, other = DecayedSum.of(first, HALF_LIFE), DecayedSum.of(second, HALF_LIFE)
    for total in (one.plus(other, HALF_LIFE), other.plus(one, HALF_LIFE)):
        assert total.time == max(*first, *second)
        assert total.mass == pytest.approx(brute_force(first + second, total.time))
        assert total.at(5000, HALF_LIFE) == pytest.approx(brute_force(first + second, 5000))


@given(times, times)
def test_parts_can_be_taken_back(kept: list[int], gone: list[int]) -> None:
    total = DecayedSum.of(kept + gone, HALF_LIFE)
    left = total.minus(DecayedSum.of(gone, HALF_LIFE), HALF_LIFE)
    assert left.mass == pytest.approx(brute_force(kept, left.time), abs=1e-9)
    assert left.mass >= 0


@given(times, times)
def test_levels_compare_as_the_sums_do(first: list[int], second: list[int]) -> None:
    one, other = DecayedSum.of(first, HALF_LIFE), DecayedSum.of(second, HALF_LIFE)
    ratio = brute_force(first, 2000) / brute_force(second, 2000)
    assert 2 ** (one.level(HALF_LIFE) - other.level(HALF_LIFE)) == pytest.approx(ratio)


def test_no_time_is_too_far_away() -> None:
    ages_apart = DecayedSum.of([0], 1.0).plus(DecayedSum.of([10**17], 1.0), 1.0)
    assert (ages_apart.mass, ages_apart.time) == (1.0, 10**17)
    assert DecayedSum(0.0, 5).level(HALF_LIFE) == -math.inf
