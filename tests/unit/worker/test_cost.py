"""The cost of an inference, learnt from inferences whose true cost is known."""

import math
import random

import pytest
from longtail.worker.cost import Cost


def learn(cost: Cost, fixed: float, per_token: float, sizes: list[int], noise: float = 0.0) -> None:
    chance = random.Random(1)
    for padded in sizes:
        seconds = (fixed + per_token * padded) * chance.lognormvariate(0, noise)
        cost.observe(padded, padded, seconds)


@pytest.mark.parametrize(
    ("fixed", "per_token", "sizes"),
    [
        pytest.param(0.001, 0.0002, [8, 64, 256, 30] * 10, id="cpu"),
        pytest.param(0.003, 6e-7, [50, 16_000, 4_000, 9_000] * 10, id="gpu"),
    ],
)
def test_short_and_long_inferences_are_predicted(
    fixed: float, per_token: float, sizes: list[int]
) -> None:
    cost = Cost()
    learn(cost, fixed, per_token, sizes)
    for padded in (min(sizes), max(sizes)):
        assert cost.seconds(padded) == pytest.approx(fixed + per_token * padded, rel=0.01)
    assert cost.affordable(cost.seconds(100)) == pytest.approx(100)


def test_before_a_measurement_everything_is_free() -> None:
    cost = Cost()
    assert not cost.measured
    assert cost.seconds(1_000) == 0
    assert cost.affordable(0.001) == math.inf
    assert cost.padding == 1


def test_one_measurement_is_enough_for_its_own_size() -> None:
    cost = Cost()
    cost.observe(80, 100, 0.02)
    assert cost.measured
    assert cost.seconds(100) == pytest.approx(0.02)
    assert cost.padding == pytest.approx(1.25)


def test_equal_sizes_are_predicted_for_other_sizes_by_the_token() -> None:
    cost = Cost()
    learn(cost, 0, 0.0002, [100] * 30, noise=0.2)
    assert cost.per_inference == 0
    assert cost.seconds(200) == pytest.approx(0.04, rel=0.2)


def test_an_inference_that_was_held_up_does_little() -> None:
    cost = Cost()
    sizes = [8, 64, 256, 30] * 10
    learn(cost, 0.001, 0.0002, sizes)
    cost.observe(128, 128, 30.0)
    assert cost.seconds(128) < 2 * (0.001 + 0.0002 * 128)


def test_a_machine_that_becomes_slower_is_noticed() -> None:
    cost = Cost()
    sizes = [8, 64, 256, 30] * 20
    learn(cost, 0.001, 0.0002, sizes)
    learn(cost, 0.010, 0.0020, sizes)
    assert cost.seconds(256) == pytest.approx(0.522, rel=0.1)


def test_nothing_is_affordable_in_less_than_an_inference_takes() -> None:
    cost = Cost()
    learn(cost, 0.003, 6e-7, [50, 16_000] * 10)
    assert cost.affordable(0.002) == 0
