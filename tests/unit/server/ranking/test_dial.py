"""The dial between its points: monotone, smooth, and each part by itself."""

from dataclasses import astuple

import numpy as np
import pytest
from longtail.server.ranking.dial import Dial, DialPoint, Knobs
from longtail.server.ranking.monotone import monotone_slopes, monotone_value
from longtail.server.ranking.profile import Context, default_profile
from longtail.server.ranking.quota import Prices
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MANY = np.linspace(0, 1, 1001)
LINE = tuple(
    DialPoint(s, Prices(4 * s, 2 * s, s), 0.5 * s, Prices(8 * s, 6 * s, 5 * s))
    for s in (0.0, 0.25, 1.0)
)


def curve(at: Floats, values: Floats, wanted: Floats) -> Floats:
    slopes = monotone_slopes(at, values)
    return np.array([monotone_value(at, values, slopes, float(each)) for each in wanted])


def random_steps(random: np.random.Generator) -> tuple[Floats, Floats]:
    """Points that rise and stand still, in steps of any size."""
    count = int(random.integers(2, 9))
    at = np.cumsum(random.uniform(0.01, 1, count))
    rises = random.exponential(1, (count, 3)) * (random.random((count, 3)) < 0.7)
    return at, np.cumsum(rises * 10 ** random.uniform(-3, 3, (count, 1)), axis=0)


def test_a_curve_goes_through_its_points_and_never_falls() -> None:
    random = np.random.default_rng(5)
    for _ in range(50):
        at, values = random_steps(random)
        np.testing.assert_allclose(curve(at, values, at), values, atol=1e-9)
        between = curve(at, values, np.linspace(at[0] - 1, at[-1] + 1, 200))
        assert (np.diff(between, axis=0) >= -1e-9 * values[-1]).all()
        np.testing.assert_array_equal(between[[0, -1]], values[[0, -1]])


def test_a_curve_has_no_kink_at_its_points() -> None:
    random = np.random.default_rng(6)
    step = 1e-6
    for _ in range(20):
        at, values = random_steps(random)
        for inner in at[1:-1]:
            before, here, after = curve(at, values, inner + step * np.array([-1, 0, 1]))
            slopes = (here - before) / step, (after - here) / step
            np.testing.assert_allclose(*slopes, rtol=1e-2, atol=1e-2 * values[-1].max())


def test_a_straight_line_stays_one() -> None:
    at = np.array([0.0, 0.1, 0.5, 1.0])
    line = curve(at, 3 * at[:, None] + 1, MANY)
    np.testing.assert_allclose(line[:, 0], 3 * MANY + 1)


@pytest.mark.parametrize("context", list(Context))
def test_no_price_of_the_default_falls_or_jumps(context: Context) -> None:
    dial = default_profile().dials[context]
    prices = [dial.prices(float(strength)) for strength in MANY]
    by_part = np.array([astuple(each) for each in prices])
    assert (np.diff(by_part, axis=0) >= -1e-12).all()
    # Half a hundredth of the dial changes no price by more than half, once there is one.
    usual = (MANY >= 0.05) & (MANY <= 0.6)
    steps = by_part[usual][5:] / np.maximum(by_part[usual][:-5], 1e-12)
    assert (steps[by_part[usual][:-5] > 0] < 1.5).all()


def test_a_knob_that_is_set_has_the_price_of_its_part_alone() -> None:
    dial = Dial(LINE)
    for knobs, prices in (
        (Knobs(), (2, 1, 0.5)),
        (Knobs(tail=0.1), (0.8, 1, 0.5)),
        (Knobs(coverage=0.0), (2, 0, 0.5)),
        (Knobs(0.1, 0.2, 0.4), (0.8, 1.2, 2.0)),
    ):
        assert astuple(dial.prices(0.5, knobs)) == pytest.approx(prices)
    assert dial.loss(0.5) == pytest.approx(0.25)


def test_the_odds_of_losses_are_put_right() -> None:
    dial = Dial(LINE, overrun=2.0)
    assert dial.measured(0.5) == pytest.approx(2 / 3)
    assert dial.measured(0.01) == pytest.approx(0.02, rel=0.02)
    assert (dial.measured(0.0), dial.measured(1.0)) == (0, 1)
    assert (dial.expected(0.0), dial.expected(1.0)) == (0, 1)
    for loss in (0.001, 0.04, 0.3, 0.9):
        assert dial.expected(dial.measured(loss)) == pytest.approx(loss)
        assert Dial(LINE).measured(loss) == loss
