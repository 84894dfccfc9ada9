from dataclasses import replace

import numpy as np
import pytest
from longtail.server.ranking.exposure import blended, rarity
from longtail.server.ranking.popularity import Bucket
from longtail.server.ranking.profile import Context, default_profile
from longtail.server.ranking.quota import Prices

from evaluation.longtail import best_gains, longtail, serve, settled_exposure
from evaluation.task import Floats, Ints, Task
from tests.unit.evaluation.outside_tasks import assert_lists_of_candidates, plain, random_task

REACH = 0.5
DIAL = default_profile().dials[Context.HISTORY]
PRICES = (
    Prices(),
    Prices(tail=0.3),
    Prices(coverage=0.5),
    Prices(taste=0.4),
    Prices(0.2, 0.2, 0.2),
    Prices(200.0, 10.0, 1.0),
)


def even(task: Task) -> Floats:
    return np.ones(len(task.catalogue.bucket))


def coverage(task: Task, lists: Ints) -> int:
    return len(np.unique(np.take_along_axis(task.items, lists, axis=1)))


def test_strength_zero_is_the_order_of_the_scores() -> None:
    task = random_task()
    rerank = longtail(DIAL, REACH, even(task))
    np.testing.assert_array_equal(rerank(task, 0.0), plain(task))


@pytest.mark.parametrize("prices", PRICES)
def test_lists_hold_candidates_once_and_in_the_order_of_the_scores(prices: Prices) -> None:
    task = random_task()
    served = serve(task, prices, REACH, even(task))
    assert_lists_of_candidates(task, served.lists)
    shown = np.take_along_axis(task.scores, served.lists, axis=1)
    assert (np.diff(shown, axis=1) <= 0).all()


@pytest.mark.parametrize("prices", PRICES)
def test_no_list_gains_more_than_the_most_relevant_one(prices: Prices) -> None:
    task = random_task()
    best = best_gains(task, REACH)
    gains = serve(task, prices, REACH, even(task)).gains
    assert (gains <= best + 1e-12).all()
    if prices == Prices():
        np.testing.assert_allclose(gains, best)
    else:
        assert gains.sum() < best.sum()


def test_gains_are_the_dcg_of_what_is_shown_over_that_of_all_that_is_expected() -> None:
    task = random_task(users=1, pool=6, k=2)
    # As much relevance as makes 1.5 likely, in the pool or not.
    task = replace(task, scores=task.scores * (1.5 * REACH / task.scores.sum()))
    served = serve(task, Prices(tail=0.3), REACH, even(task))
    first, second = task.scores[0, served.lists[0]]
    # Of the ideal list one item is relevant for certain, and another one every second time.
    ideal = 1 + 0.5 / np.log2(3)
    assert served.gains[0] == pytest.approx((first + second / np.log2(3)) / ideal)


def test_the_whole_tail_is_all_that_the_strongest_dial_shows() -> None:
    task = random_task()
    rerank = longtail(DIAL, REACH, even(task))
    bucket = task.catalogue.bucket[task.items]
    shown = np.take_along_axis(bucket, rerank(task, 1.0), axis=1) == Bucket.TAIL
    reachable = np.minimum((bucket == Bucket.TAIL).sum(axis=1), task.k)
    np.testing.assert_array_equal(shown.sum(axis=1), reachable)


def test_more_is_covered_the_higher_the_price_of_coverage() -> None:
    task = random_task(users=60)
    covered = [
        coverage(task, serve(task, Prices(coverage=price), REACH, even(task)).lists)
        for price in (0.0, 0.5, 5.0)
    ]
    assert covered[0] < covered[1] < covered[2]


def test_what_was_shown_makes_room_for_what_was_not() -> None:
    task = random_task(users=60)
    prices = Prices(coverage=1.0)
    online = serve(task, prices, REACH, even(task)).lists
    offline = serve(task, prices, REACH, even(task), online=False).lists
    assert coverage(task, online) > coverage(task, offline)
    np.testing.assert_array_equal(online[0], offline[0])


def test_each_request_is_priced_by_what_was_shown_before_it() -> None:
    task = random_task(users=8, items=60)
    prices = Prices(coverage=1.0)
    exposure = np.random.default_rng(3).gamma(1, 1, 60)
    exposure /= exposure.mean()
    lists = serve(task, prices, REACH, exposure).lists
    counts = np.zeros(60)
    for at in range(len(task.items)):
        # A fresh run that starts from all that was shown so far, of which rarity alone is asked.
        so_far = blended(exposure, counts, counts.mean())
        alone = serve(task.rows(np.array([at])), prices, REACH, so_far, online=False).lists
        assert rarity(so_far).max() <= 1
        np.testing.assert_array_equal(alone[0], lists[at])
        counts[task.items[at, lists[at]]] += 1


def test_without_what_was_shown_the_order_of_the_requests_is_nothing() -> None:
    task = random_task()
    order = np.random.default_rng(2).permutation(len(task.items))
    exposure = np.random.default_rng(3).gamma(1, 1, len(task.catalogue.bucket))
    prices = Prices(0.2, 0.5, 0.3)
    whole = serve(task, prices, REACH, exposure, online=False)
    shuffled = serve(task.rows(order), prices, REACH, exposure, online=False)
    np.testing.assert_array_equal(shuffled.lists, whole.lists[order])
    np.testing.assert_array_equal(shuffled.gains, whole.gains[order])


def test_settled_exposure_averages_one_and_is_higher_for_what_is_shown_more() -> None:
    task = random_task(users=20)
    prices = Prices(0.1, 0.2)
    exposure = settled_exposure(task, prices, REACH)
    assert exposure.mean() == pytest.approx(1)
    assert exposure.min() >= 0
    lists = serve(task, prices, REACH, exposure, online=False).lists
    shown = np.bincount(
        np.take_along_axis(task.items, lists, axis=1).ravel(), minlength=len(exposure)
    )
    assert np.corrcoef(shown, exposure)[0, 1] > 0.7
