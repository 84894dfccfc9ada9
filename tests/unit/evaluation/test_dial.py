from functools import lru_cache

import numpy as np
import pytest
from longtail.server.ranking.dial import WHOLE_TAIL, Dial
from longtail.server.ranking.quota import Prices
from numpy.typing import NDArray

from evaluation import dial as dials
from evaluation.dial import (
    HIGHEST_PRICE,
    LEAST_OVERRUN,
    MOST_OVERRUN,
    STRENGTHS,
    TASTE_GONE,
    TASTE_SHARE,
    TASTE_STRENGTH,
    Observed,
    fit_dial,
    taste_loss,
    usual_exposure,
)
from evaluation.longtail import best_gains, serve
from evaluation.task import Task
from tests.unit.evaluation.outside_tasks import random_task

REACH = 0.6


@lru_cache
def fitted() -> tuple[Task, Dial]:
    task = random_task(users=30, pool=40)
    return task, fit_dial(task, REACH, None)


def loss(task: Task, prices: Prices) -> float:
    """Return what lists lose, in the order in which the requests come."""
    served = serve(task, prices, REACH, np.ones(len(task.catalogue.bucket)))
    return 1 - float(served.gains.sum() / best_gains(task, REACH).sum())


def test_lists_lose_the_square_of_the_strength_as_far_as_they_can() -> None:
    task, dial = fitted()
    most = loss(task, Prices(HIGHEST_PRICE, HIGHEST_PRICE / 2))
    assert most > 0.3
    reachable = [point for point in dial.points[:-1] if point.strength**2 < most]
    assert len(reachable) > 10
    for point in reachable:
        # Thirty lists of ten can lose only so many different shares.
        assert point.loss == pytest.approx(point.strength**2, rel=0.03, abs=0.004)
        assert loss(task, point.prices) == pytest.approx(point.loss)
    for point in dial.points[len(reachable) :]:
        assert point.loss == pytest.approx(most, rel=0.05)


def test_the_dial_goes_from_no_price_to_all_of_the_tail() -> None:
    _, dial = fitted()
    assert [point.strength for point in dial.points] == [*STRENGTHS, 1.0]
    assert dial.points[0].prices == Prices()
    assert dial.points[0].loss == 0
    assert dial.points[-1].prices.tail == WHOLE_TAIL
    assert dial.points[-1].loss > dial.points[6].loss


def test_the_tail_gets_dearer_and_the_loss_larger_with_the_strength() -> None:
    _, dial = fitted()
    strong = [point for point in dial.points if point.strength >= TASTE_GONE]
    assert (np.diff([point.prices.tail for point in strong]) >= 0).all()
    assert (np.diff([point.loss for point in dial.points[:-1]]) >= 0).all()
    assert all(point.prices.taste == 0 for point in strong)
    weak = [point.prices.taste for point in dial.points if point.strength <= TASTE_STRENGTH]
    assert (np.diff(weak) > 0).all()


def test_more_of_the_tail_is_shown_with_every_step() -> None:
    task, dial = fitted()
    even = np.ones(len(task.catalogue.bucket))
    bucket = task.catalogue.bucket[task.items]
    shares = [
        float((np.take_along_axis(bucket, lists, axis=1) == 2).mean())
        for lists in (serve(task, point.prices, REACH, even).lists for point in dial.points[::4])
    ]
    assert (np.diff(shares) >= 0).all()
    assert shares[2] > shares[0] + 0.05


def test_between_two_points_lists_lose_what_lies_between() -> None:
    task, dial = fitted()
    for strength in (0.125, 0.225, 0.275):
        lost = loss(task, dial.prices(strength))
        assert lost == pytest.approx(dial.loss(strength), abs=0.01)


def test_without_a_known_taste_it_has_no_price_and_the_losses_are_the_same() -> None:
    task, _ = fitted()
    dial = fit_dial(task, REACH, None, known_taste=False)
    assert all(point.prices.taste == 0 for point in dial.points)
    for point in dial.points[:8]:
        assert point.loss == pytest.approx(point.strength**2, abs=0.004)


def overrun(task: Task, relevant: NDArray[np.bool_]) -> float:
    """Return by which factor the dial takes losses to be beyond what is expected."""
    dial = fit_dial(task, REACH, Observed(relevant, relevant.sum(axis=1)))
    point = dial.points[1]
    return point.loss / loss(task, point.prices)


@pytest.fixture
def _two_points(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dials, "STRENGTHS", (0.0, 0.3))


@pytest.mark.usefixtures("_two_points")
def test_where_chances_are_what_they_are_stated_to_be_losses_are_as_expected() -> None:
    task = random_task(users=250, pool=20, k=5)
    relevant = np.random.default_rng(0).random(task.scores.shape) < task.scores
    assert overrun(task, relevant) == pytest.approx(1, abs=0.2)


@pytest.mark.usefixtures("_two_points")
def test_where_only_the_first_are_relevant_lists_lose_more_than_expected() -> None:
    task = random_task()
    order = np.argsort(-task.scores, axis=1)
    first, last = (np.zeros(task.scores.shape, bool) for _ in range(2))
    np.put_along_axis(first, order[:, : task.k], True, axis=1)
    np.put_along_axis(last, order[:, task.k : 2 * task.k], True, axis=1)
    assert 1.1 < overrun(task, first) <= MOST_OVERRUN + 1e-9
    # What loses nothing is not believed to cost nothing.
    assert overrun(task, last) == pytest.approx(LEAST_OVERRUN)


def test_usual_exposure_is_of_the_whole_catalogue_and_of_what_the_lists_show() -> None:
    _, dial = fitted()
    # So few that most items are nobody's candidates.
    task = random_task(users=4, pool=20)
    exposure = usual_exposure(task, dial, REACH)
    assert exposure.shape == task.catalogue.bucket.shape
    assert exposure.mean() == pytest.approx(1)
    never = np.setdiff1d(np.arange(len(exposure)), task.items)
    assert len(never) > len(exposure) / 2
    assert exposure[never].max() < exposure.mean()


def test_what_goes_to_taste_grows_and_is_taken_back() -> None:
    strengths = np.linspace(0, 1, 401)
    losses = np.array([taste_loss(strength) for strength in strengths])
    assert losses[0] == 0
    assert (losses <= TASTE_SHARE * strengths**2 + 1e-15).all()
    weak = strengths <= TASTE_STRENGTH
    np.testing.assert_allclose(losses[weak], TASTE_SHARE * strengths[weak] ** 2)
    assert not losses[strengths >= TASTE_GONE].any()
    between = losses[(strengths > TASTE_STRENGTH) & (strengths < TASTE_GONE)]
    assert (np.diff(between) < 0).all()
    # Nowhere a jump, which two strengths beside each other would not forgive.
    assert np.abs(np.diff(losses)).max() < 0.002
