from dataclasses import astuple
from functools import lru_cache

import numpy as np
import pytest
from longtail.server.ranking.dial import WHOLE_TAIL, Knobs
from longtail.server.ranking.quota import Prices
from numpy.typing import NDArray

from evaluation import dial as dials
from evaluation.dial import (
    HIGHEST_PRICE,
    HIGHEST_TASTE,
    MOST_OVERRUN,
    STRENGTHS,
    FittedDial,
    fit_dial,
)
from evaluation.longtail import best_gains, serve
from evaluation.metrics import Truth
from evaluation.task import Task
from tests.unit.evaluation.outside_tasks import random_task

REACH = 0.6


@lru_cache
def fitted() -> tuple[Task, FittedDial]:
    task = random_task(users=30, pool=40)
    return task, fit_dial(task, REACH, None)


def loss(task: Task, prices: Prices) -> float:
    """Return what lists lose, in the order in which the requests come."""
    served = serve(task, prices, REACH, fitted()[1].exposure)
    return float(np.mean(1 - served.gains / best_gains(task, REACH)))


def test_lists_lose_the_square_of_the_strength_as_far_as_they_can() -> None:
    task, found = fitted()
    dial = found.dial
    most = loss(task, dial.prices(1))
    assert most > 0.3
    # Thirty lists of ten can lose only so many different shares.
    for strength in (0.1, 0.2, 0.3, 0.4, 0.5):
        assert strength**2 < most
        assert loss(task, dial.prices(strength)) == pytest.approx(strength**2, rel=0.1, abs=0.006)
        assert dial.loss(strength) == pytest.approx(strength**2, rel=0.05, abs=0.004)
    assert dial.loss(1) == pytest.approx(most, rel=0.05)


def test_the_dial_goes_from_no_price_to_all_of_the_tail() -> None:
    dial = fitted()[1].dial
    assert [point.strength for point in dial.points] == [*STRENGTHS, 1.0]
    assert dial.points[0].prices == dial.points[0].alone == Prices()
    assert dial.points[0].loss == 0
    last = dial.points[-1]
    assert last.prices.tail == last.alone.tail == pytest.approx(WHOLE_TAIL)
    assert last.prices.taste < HIGHEST_TASTE
    assert last.alone.coverage == pytest.approx(HIGHEST_PRICE)


def test_no_price_falls_and_no_loss() -> None:
    dial = fitted()[1].dial
    rows = [(*astuple(each.prices), *astuple(each.alone), each.loss) for each in dial.points]
    assert (np.diff(rows, axis=0) >= 0).all()
    # Each has a price from the first step on, below that which it would have alone.
    weak = dial.points[1]
    for part in ("tail", "coverage", "taste"):
        assert 0 < getattr(weak.prices, part) < getattr(weak.alone, part)


# Of thirty lists one that turns to what was never shown is a large step of coverage.
@pytest.mark.parametrize(("part", "near"), [("tail", 0.006), ("coverage", 0.01), ("taste", 0.006)])
def test_a_knob_by_itself_loses_its_square_as_far_as_it_can(part: str, near: float) -> None:
    task, found = fitted()
    dial = found.dial
    prices = [dial.prices(0, Knobs(**{part: turned})) for turned in (0.1, 0.2, 0.3)]
    for turned, price in zip((0.1, 0.2, 0.3), prices, strict=True):
        assert [name for name in vars(price) if getattr(price, name)] == [part]
        most = loss(task, dial.prices(0, Knobs(**{part: 1.0})))
        assert loss(task, price) == pytest.approx(min(turned**2, most), rel=0.15, abs=near)


def test_more_of_the_tail_is_shown_with_every_step() -> None:
    task, found = fitted()
    dial = found.dial
    even = np.ones(len(task.catalogue.bucket))
    bucket = task.catalogue.bucket[task.items]
    shares = [
        float((np.take_along_axis(bucket, lists, axis=1) == 2).mean())
        for lists in (serve(task, point.prices, REACH, even).lists for point in dial.points[::3])
    ]
    assert (np.diff(shares) >= 0).all()
    assert shares[2] > shares[0] + 0.05


def test_without_a_known_taste_it_has_no_price_and_the_losses_are_the_same() -> None:
    task, _ = fitted()
    dial = fit_dial(task, REACH, None, known_taste=False).dial
    assert all(point.prices.taste == point.alone.taste == 0 for point in dial.points)
    for strength in (0.1, 0.2, 0.3):
        assert dial.loss(strength) == pytest.approx(strength**2, abs=0.004)


@pytest.fixture
def _few_prices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dials, "STRENGTHS", (0.0, 0.2, 0.4))
    monkeypatch.setattr(dials, "MOST_PRICES", 9)


def overrun(task: Task, relevant: NDArray[np.bool_], prior: float = 1.0) -> float:
    """Return by which factor the dial takes the odds of losses to be beyond what is expected."""
    offsets = np.concatenate(([0], np.cumsum(relevant.sum(axis=1))))
    truth = Truth(offsets, task.items[relevant])
    return fit_dial(task, REACH, truth, known_taste=False, overrun=prior).dial.overrun


@pytest.mark.usefixtures("_few_prices")
def test_where_chances_are_what_they_are_stated_to_be_losses_are_as_expected() -> None:
    task = random_task(users=100, pool=20, k=5)
    relevant = np.random.default_rng(0).random(task.scores.shape) < task.scores
    assert overrun(task, relevant) == pytest.approx(1, abs=0.25)


@pytest.mark.usefixtures("_few_prices")
def test_where_only_the_first_are_relevant_lists_lose_more_than_expected() -> None:
    task = random_task(pool=20, k=5)
    order = np.argsort(-task.scores, axis=1)
    first, last = (np.zeros(task.scores.shape, bool) for _ in range(2))
    np.put_along_axis(first, order[:, : task.k], True, axis=1)
    np.put_along_axis(last, order[:, task.k : 2 * task.k], True, axis=1)
    assert 1.1 < overrun(task, first) <= MOST_OVERRUN
    # What loses nothing is not believed to cost nothing.
    assert 1 / MOST_OVERRUN <= overrun(task, last) < 1


@pytest.mark.usefixtures("_few_prices")
def test_of_few_people_the_prior_is_believed() -> None:
    task = random_task(users=4, pool=20, k=5)
    relevant = np.random.default_rng(0).random(task.scores.shape) < task.scores
    low, high = (overrun(task, relevant, prior) for prior in (0.5, 2.0))
    # On the scale of logs they keep much of their distance.
    assert np.log(high / low) > 0.4 * np.log(4)
    assert fit_dial(task, REACH, None, known_taste=False, overrun=2.0).dial.overrun == 2.0


@pytest.mark.usefixtures("_few_prices")
def test_exposure_is_of_the_whole_catalogue_and_of_what_the_lists_show() -> None:
    # So few that most items are nobody's candidates.
    task = random_task(users=4, pool=20)
    exposure = fit_dial(task, REACH, None).exposure
    assert exposure.shape == task.catalogue.bucket.shape
    assert exposure.mean() == pytest.approx(1)
    never = np.setdiff1d(np.arange(len(exposure)), task.items)
    assert len(never) > len(exposure) / 2
    assert exposure[never].max() < exposure.mean()
