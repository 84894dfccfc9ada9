"""The fit of the dial: prices with which lists lose what a strength says.

At a weak dial most of what may be spent brings lists to each person's own taste for head, middle
and tail. A stronger one asks for more tail than anybody's taste, so the price of taste is taken
back. The price of coverage goes with that of the tail: it decides which of the tail is shown, and
costs hardly anything.
"""

from dataclasses import replace

import numpy as np

from evaluation.longtail import best_gains, serve, settled_exposure
from evaluation.task import Floats, Task
from server.ranking.dial import WHOLE_TAIL, Dial, DialPoint
from server.ranking.quota import Prices

STRENGTHS = tuple(round(0.05 * step, 2) for step in range(20))
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


def fit_dial(task: Task, reach: float, *, known_taste: bool = True) -> Dial:
    """Find the prices with which the lists of `task` lose the square of each strength.

    Losses are of expected relevance: that has less noise than what a sample of people did. `reach`:
    see RankingProfile. Without `known_taste` it has no price.
    """
    best = float(best_gains(task, reach).sum())
    even = np.ones(len(task.catalogue.bucket))

    def loss(prices: Prices) -> float:
        return max(0.0, 1 - float(serve(task, prices, reach, even).gains.sum()) / best)

    taste_prices = TASTE_PRICES if known_taste else TASTE_PRICES[:1]
    of_taste = np.maximum.accumulate([loss(Prices(taste=price)) for price in taste_prices])
    points = [DialPoint(0.0, Prices(), 0.0)]
    for strength in STRENGTHS[1:]:
        spent = taste_loss(strength)
        # Prices that cost nothing are no answer to a loss of nothing.
        taste = float(np.interp(spent, of_taste, taste_prices)) if spent else 0.0
        low, high = np.log(LEAST_PRICE), np.log(HIGHEST_PRICE)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            dear = loss(_prices(float(np.exp(middle)), taste)) > strength**2
            low, high = (low, middle) if dear else (middle, high)
        prices = _prices(float(np.exp((low + high) / 2)), taste)
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


def _prices(tail: float, taste: float) -> Prices:
    return Prices(tail, COVERAGE_SHARE * tail, taste)
