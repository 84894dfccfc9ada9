"""The fit of the dial: prices with which lists lose what a strength says.

At a weak dial most of what may be spent brings lists to each person's own taste for head, middle
and tail. A stronger one asks for more tail than anybody's taste, so the price of taste is taken
back. The price of coverage goes with that of the tail: it decides which of the tail is shown, and
costs hardly anything.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from longtail.server.ranking.dial import WHOLE_TAIL, Dial, DialPoint
from longtail.server.ranking.quota import Prices
from numpy.typing import NDArray

from evaluation.longtail import best_gains, serve, settled_exposure
from evaluation.relevance_metrics import ndcg
from evaluation.task import Floats, Ints, Task

# Close together where most people turn it.
STRENGTHS = (
    *(round(0.025 * step, 3) for step in range(12)),
    *(round(0.05 * step, 2) for step in range(6, 20)),
)
# Where the exposure is taken that item prices start from.
USUAL_STRENGTH = 0.2
# The share of a weak dial's budget that goes to taste, the strength up to which it grows, and that
# from which on nothing is left of it.
TASTE_SHARE, TASTE_STRENGTH, TASTE_GONE = 0.8, 0.15, 0.2
# The price of coverage, as a share of the tail's.
COVERAGE_SHARE = 0.5
# Prices of the tail are looked for within, to a part in 2**HALVINGS of the range of their logs.
LEAST_PRICE, HIGHEST_PRICE, HALVINGS = 1e-3, 20.0, 10
TASTE_PRICES = (0.0, *np.geomspace(LEAST_PRICE, 1.0, 20).tolist())
# Expected losses at which it is seen what is lost indeed, and how far that may be from it.
CHECKED_LOSSES, LEAST_OVERRUN, MOST_OVERRUN = (0.1, 0.2, 0.3), 0.5, 2.0


@dataclass(frozen=True)
class Observed:
    """Whether each candidate (U, n) turned out relevant, and how many items did in all (U,)."""

    relevant: NDArray[np.bool_]
    counts: Ints


def fit_dial(
    task: Task, reach: float, observed: Observed | None, *, known_taste: bool = True
) -> Dial:
    """Find the prices with which the lists of `task` lose the square of each strength.

    Losses are of expected relevance, which has less noise than what a sample of people did, times
    the factor by which the losses that were `observed` are beyond it. `reach`: see RankingProfile.
    Without `known_taste` it has no price.
    """
    best = float(best_gains(task, reach).sum())
    even = np.ones(len(task.catalogue.bucket))

    def expected_loss(prices: Prices) -> float:
        return max(0.0, 1 - float(serve(task, prices, reach, even).gains.sum()) / best)

    overrun = 1.0
    if observed is not None:
        checked = [_prices(_price(expected_loss, each, 0.0), 0.0) for each in CHECKED_LOSSES]
        lists = [serve(task, prices, reach, even).lists for prices in checked]
        expected = sum(expected_loss(prices) for prices in checked)
        lost = sum(_observed_losses(task, lists, observed))
        overrun = float(np.clip(lost / (expected or 1.0), LEAST_OVERRUN, MOST_OVERRUN))

    def loss(prices: Prices) -> float:
        return min(1.0, overrun * expected_loss(prices))

    taste_prices = TASTE_PRICES if known_taste else TASTE_PRICES[:1]
    of_taste = np.maximum.accumulate([loss(Prices(taste=price)) for price in taste_prices])
    points = [DialPoint(0.0, Prices(), 0.0)]
    for strength in STRENGTHS[1:]:
        spent = taste_loss(strength)
        # Prices that cost nothing are no answer to a loss of nothing.
        taste = float(np.interp(spent, of_taste, taste_prices)) if spent else 0.0
        prices = _prices(_price(loss, strength**2, taste), taste)
        points.append(DialPoint(strength, prices, loss(prices)))
    all_tail = replace(points[-1].prices, tail=WHOLE_TAIL)
    points.append(DialPoint(1.0, all_tail, loss(all_tail)))
    return Dial(tuple(points))


def usual_exposure(task: Task, dial: Dial, reach: float) -> Floats:
    """Return the exposure (I,) that items settle at under the prices of the usual strength."""
    return settled_exposure(task, dial.prices(USUAL_STRENGTH), reach)


def taste_loss(strength: float) -> float:
    """Return how much of the relevance may go to the person's own taste at a strength."""
    grown = TASTE_SHARE * min(strength, TASTE_STRENGTH) ** 2
    left = (TASTE_GONE - strength) / (TASTE_GONE - TASTE_STRENGTH)
    return grown * min(1.0, max(0.0, left))


def _price(loss: Callable[[Prices], float], wanted: float, taste: float) -> float:
    """Return the price of the tail at which `wanted` is lost, or the highest."""
    low, high = np.log(LEAST_PRICE), np.log(HIGHEST_PRICE)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        dear = loss(_prices(float(np.exp(middle)), taste)) > wanted
        low, high = (low, middle) if dear else (middle, high)
    return float(np.exp((low + high) / 2))


def _observed_losses(task: Task, lists: Sequence[Ints], observed: Observed) -> list[float]:
    """Return the share of the observed NDCG that lists (U, k) lose against the order of scores."""

    def reached(positions: Ints) -> float:
        hits = np.take_along_axis(observed.relevant, positions, axis=1)
        return float(np.nanmean(ndcg(hits, observed.counts)))

    most = reached(np.argsort(-task.scores, axis=1, kind="stable")[:, : task.k])
    return [1 - reached(positions) / most if most else 0.0 for positions in lists]


def _prices(tail: float, taste: float) -> Prices:
    return Prices(tail, COVERAGE_SHARE * tail, taste)
