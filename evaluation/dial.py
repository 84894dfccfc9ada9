"""The fit of the dial: prices with which lists lose what a strength says.

All three prices rise along one path, on which each has a share of what is lost. What a price buys
grows with the root of what is lost for it, so a little of each buys more than all of one: the last
of what the tail would cost buys little of the tail, and much of coverage or of taste. The price of
taste levels off, since a stronger dial is to go beyond what people are used to.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from longtail.server.ranking.dial import WHOLE_TAIL, Dial, DialPoint
from longtail.server.ranking.quota import Prices, relative_loss

from evaluation.longtail import best_gains, serve, settled_exposure
from evaluation.metrics import Truth
from evaluation.task import Floats, Ints, Task

# Close together where most people turn it.
STRENGTHS = (0.0, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
# Where the exposure is taken that item prices start from.
USUAL_STRENGTH = 0.2
# The shares of what is lost that go to each, and the price at which that of taste levels off.
TAIL_SHARE, COVERAGE_SHARE, TASTE_SHARE, HIGHEST_TASTE = 0.92, 0.03, 0.05, 0.3
# Prices are looked for within these. Losses are measured at so many of them at first, and between
# them until the strengths that they stand for are near to each other, or there are so many.
LEAST_PRICE, HIGHEST_PRICE = 1e-3, 20.0
FIRST_PRICES, MOST_PRICES, NEAR = 8, 24, 0.05
# What stands for a strength no further than that from the highest is beyond effect.
NO_LOSS = 0.01
# How far the log of an overrun is taken to be from that of the prior, two times in three.
OVERRUN_DEVIATION = 0.5
# An overrun lies within this factor and its inverse, and is told by expected losses within these:
# those of a stronger dial are large, and would outweigh those that people choose.
MOST_OVERRUN, TELLING = 32.0, (0.01, 0.25)


@dataclass(frozen=True)
class _Losses:
    """What lists lose at p places of a path of prices.

    `at` (p,): ascending from 0, where nothing has a price. `expected` (p, U): the share of its
    expected DCG that each list loses, as an answer tells it. `lost` (p, V): what each list loses of
    the observed NDCG, as a share of the mean of the most relevant lists; V is zero where nothing
    was observed.
    """

    at: Floats
    expected: Floats
    lost: Floats

    def mean(self, overrun: float) -> Floats:
        """Return the means (p,) of the lists' losses, put right, none below the one before."""
        means: Floats = np.maximum.accumulate(_with_odds(self.expected, overrun).mean(axis=1))
        return means


# From prices to what each list is expected to lose, and what it lost: a row of _Losses.
_Measure = Callable[[Prices], tuple[Floats, Floats]]


@dataclass(frozen=True)
class FittedDial:
    """A dial, and the exposure (I,) that items settle at where most people leave it."""

    dial: Dial
    exposure: Floats


def fit_dial(
    task: Task,
    reach: float,
    observed: Truth | None,
    *,
    known_taste: bool = True,
    overrun: float = 1.0,
) -> FittedDial:
    """Find the prices with which the lists of `task` lose the square of each strength.

    Losses are of expected relevance, which has less noise than what a sample of people did. Their
    odds are put right by those of the losses that were `observed`, and so far as the people are too
    few to tell, by the prior `overrun`. They are of items that are shown as often as they will be:
    where all were shown alike, coverage would cost less. `reach`: see RankingProfile. Without
    `known_taste` it has no price.
    """
    strengths = np.array([*STRENGTHS, 1.0])

    def alone(measure: _Measure, prices: Callable[[float], Prices], highest: float) -> Floats:
        losses = _searched(measure, prices)
        return _prices(losses, _overrun(losses, overrun), strengths, highest)

    measure = _measure(task, reach, observed, np.ones(len(task.catalogue.bucket)))
    tail = alone(measure, lambda price: Prices(tail=price), WHOLE_TAIL)
    taste = np.zeros(len(strengths))
    if known_taste:
        taste = alone(measure, lambda price: Prices(taste=price), HIGHEST_PRICE)

    def part(alone: Floats, share: float, place: float) -> float:
        """Return the price of a part where the tail's is what it is at the strength `place`."""
        return float(np.interp(np.sqrt(share / TAIL_SHARE) * place, strengths, alone))

    def together(place: float) -> Prices:
        price = part(tail, TAIL_SHARE, place)
        of_taste = min(part(taste, TASTE_SHARE, place), price)
        return Prices(
            price, part(coverage, COVERAGE_SHARE, place), _levelled(of_taste, HIGHEST_TASTE)
        )

    coverage = np.zeros(len(strengths))
    for _ in range(2):
        # What is shown depends on the price of coverage, and this on what is shown.
        exposure = settled_exposure(task, together(USUAL_STRENGTH), reach)
        measure = _measure(task, reach, observed, exposure)
        coverage = alone(measure, lambda price: Prices(coverage=price), HIGHEST_PRICE)
    losses = _measured(measure, together, strengths)
    found = _overrun(losses, overrun)
    # Once more, near to where each strength turned out to be.
    near = _places(losses.at, losses.mean(found), strengths)
    losses = _measured(measure, together, np.union1d(strengths, near))
    reached = losses.mean(found)
    places = _places(losses.at, reached, strengths)
    points = [
        DialPoint(
            strength, together(place), float(np.interp(place, losses.at, reached)), Prices(*apart)
        )
        for strength, place, *apart in np.stack(
            (strengths, places, tail, coverage, taste), axis=1
        ).tolist()
    ]
    return FittedDial(Dial(tuple(points), found), exposure)


def _measure(task: Task, reach: float, observed: Truth | None, exposure: Floats) -> _Measure:
    best = best_gains(task, reach)

    def reached(positions: Ints, truth: Truth) -> Floats:
        return truth.ndcg(np.take_along_axis(task.items, positions, axis=1))

    top = np.argsort(-task.scores, axis=1, kind="stable")[:, : task.k]
    most = None if observed is None else reached(top, observed)

    def measure(prices: Prices) -> tuple[Floats, Floats]:
        served = serve(task, prices, reach, exposure)
        expected = relative_loss(served.gains / best, 1.0)
        if observed is None or most is None:
            return expected, np.empty(0)
        lost = most - reached(served.lists, observed)
        present = ~np.isnan(lost)
        return expected, lost[present] / (most[present].mean() or 1.0)

    return measure


def _measured(measure: _Measure, prices: Callable[[float], Prices], at: Floats) -> _Losses:
    found = [measure(prices(place)) for place in at.tolist()]
    expected, lost = zip(*found, strict=True)
    return _Losses(at, np.stack(expected), np.stack(lost))


def _searched(measure: _Measure, prices: Callable[[float], Prices]) -> _Losses:
    """Measure at 0 and at prices among which none is missed that a strength stands for."""
    first = [0.0, *np.geomspace(LEAST_PRICE, HIGHEST_PRICE, FIRST_PRICES).tolist()]
    found = {price: measure(prices(price)) for price in first}
    while True:
        at = sorted(found)
        losses = np.maximum.accumulate([found[price][0].mean() for price in at])
        # From nothing to the least price there is no mean.
        gaps = np.diff(np.sqrt(losses))[1:]
        widest = int(gaps.argmax()) + 1
        if gaps[widest - 1] < NEAR or len(at) >= MOST_PRICES:
            break
        between = float(np.sqrt(at[widest] * at[widest + 1]))
        found[between] = measure(prices(between))
    expected, lost = zip(*(found[price] for price in at), strict=True)
    return _Losses(np.array(at), np.stack(expected), np.stack(lost))


def _overrun(losses: _Losses, prior: float) -> float:
    """Return by which factor the odds of what was lost are beyond those of what was expected.

    Partial pooling: the log of it is a mean of what the people say and of the prior, weighed by how
    sure each is.
    """
    least, most = TELLING
    means = losses.mean(1.0)
    telling = (means >= least) & (means <= most)
    people = losses.lost.shape[1]
    if not telling.any() or people < 2:
        return prior
    expected, by_person = losses.expected[telling], losses.lost[telling].sum(axis=0)
    low, high = -np.log(MOST_OVERRUN), np.log(MOST_OVERRUN)
    logs = np.linspace(low, high, 101)
    sums = [_with_odds(expected, factor).mean(axis=1).sum() for factor in np.exp(logs)]
    said = float(np.interp(by_person.mean(), sums, logs))
    reached = _with_odds(expected, float(np.exp(said)))
    # People who all lost the same, nothing perhaps, are not sure of it.
    spread = max(float(by_person.std(ddof=1)), float(means[telling].sum()))
    deviation = spread / np.sqrt(people) / (reached * (1 - reached)).mean(axis=1).sum()
    trust = OVERRUN_DEVIATION**2 / (OVERRUN_DEVIATION**2 + deviation**2)
    return float(np.exp(trust * said + (1 - trust) * np.log(prior)))


def _prices(losses: _Losses, overrun: float, strengths: Floats, highest: float) -> Floats:
    """Return the price at which the square of each strength is lost, from 0 to `highest`.

    What no price loses has prices that grow from that beyond which nothing is lost, by a factor
    that is the same for each step of the strength.
    """
    reached = np.sqrt(losses.mean(overrun))
    # Of prices that lose the same the lowest.
    reached, first = np.unique(reached, return_index=True)
    at = losses.at[first]
    last = int(np.searchsorted(reached, reached[-1] - NO_LOSS))
    price = np.interp(strengths, reached[: last + 1], at[: last + 1])
    beyond = strengths > reached[last]
    if beyond.any():
        place = (strengths[beyond] - reached[last]) / (1 - reached[last])
        start = max(at[last], LEAST_PRICE)
        price[beyond] = start * (highest / start) ** place
    return price


def _places(at: Floats, reached: Floats, strengths: Floats) -> Floats:
    """Return where the square of each strength is lost; what no place loses is on the way to 1."""
    rising, first = np.unique(np.sqrt(reached), return_index=True)
    last = int(np.searchsorted(rising, rising[-1] - NO_LOSS))
    found, places = rising[: last + 1], at[first][: last + 1]
    where: Floats = np.interp(strengths, np.append(found, 1.0), np.append(places, 1.0))
    return where


def _levelled(price: float, highest: float) -> float:
    return price / (1 + price / highest)


def _with_odds(share: Floats, factor: float) -> Floats:
    changed: Floats = factor * share / (1 + (factor - 1) * share)
    return changed
