"""The long-tail dial: the prices that a strength stands for, and what lists lose under them.

Between the points that were fitted prices rise along a monotone cubic, so no price falls while
the strength rises and none has a kink.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from longtail.server.ranking.monotone import monotone_slopes, monotone_value
from longtail.server.ranking.quota import Prices
from numpy.typing import NDArray

# At strength 1 a tail item is worth more than whatever it takes the place of, in a list of 100 too.
WHOLE_TAIL = 200.0
# Strengths and knobs whose prices are known.
KEPT = 1000

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Knobs:
    """A strength, 0 to 1, for each price by itself; None where the dial's strength holds."""

    tail: float | None = None
    coverage: float | None = None
    taste: float | None = None


@dataclass(frozen=True)
class DialPoint:
    """The prices at a strength, and the share of the DCG that lists with them lose.

    `alone`: of each part, the price with which it loses the square of the strength by itself.
    """

    strength: float
    prices: Prices
    loss: float
    alone: Prices


@dataclass(frozen=True)
class Dial:
    """Points in the order of strength, from 0, where nothing has a price, to 1.

    `overrun`: what the odds of an expected loss are multiplied by to be those of the loss that was
    measured; 1 where relevance is what it is estimated to be.
    """

    points: tuple[DialPoint, ...]
    overrun: float = 1.0

    def prices(self, strength: float, knobs: Knobs = Knobs()) -> Prices:
        """Return the prices at a strength; a knob that is set has the price of its part."""
        known = self._known.get((strength, knobs))
        if known is None:
            if len(self._known) == KEPT:
                self._known.clear()
            known = self._known[strength, knobs] = self._prices(strength, knobs)
        return known

    def _prices(self, strength: float, knobs: Knobs) -> Prices:
        _, *together = self._at(strength)[: 1 + _PARTS].tolist()
        knob = (knobs.tail, knobs.coverage, knobs.taste)
        tail, coverage, taste = (
            price if turned is None else float(self._at(turned)[1 + _PARTS + part])
            for part, (price, turned) in enumerate(zip(together, knob, strict=True))
        )
        return Prices(tail, coverage, taste)

    def loss(self, strength: float) -> float:
        """Return what lists at a strength lose on the average."""
        return float(self._at(strength)[0])

    def measured(self, expected: float) -> float:
        """Return the loss, 0 to 1, that an expected one turns out to be."""
        return _with_odds(expected, self.overrun)

    def expected(self, measured: float) -> float:
        """Return the expected loss, 0 to 1, that turns out to be a measured one."""
        return _with_odds(measured, 1 / self.overrun)

    def _at(self, strength: float) -> Floats:
        return monotone_value(self._strengths, self._columns, self._slopes, strength)

    @cached_property
    def _known(self) -> dict[tuple[float, Knobs], Prices]:
        return {}

    @cached_property
    def _strengths(self) -> Floats:
        return np.array([point.strength for point in self.points])

    @cached_property
    def _columns(self) -> Floats:
        return np.array(
            [(point.loss, *_of(point.prices), *_of(point.alone)) for point in self.points]
        )

    @cached_property
    def _slopes(self) -> Floats:
        return monotone_slopes(self._strengths, self._columns)


def dial_rows(dial: Dial) -> list[dict[str, float]]:
    """Return the points of a dial as JSON has them."""
    return [
        {
            "strength": point.strength,
            "tail_price": point.prices.tail,
            "coverage_price": point.prices.coverage,
            "taste_price": point.prices.taste,
            "loss": point.loss,
            "tail_alone": point.alone.tail,
            "coverage_alone": point.alone.coverage,
            "taste_alone": point.alone.taste,
        }
        for point in dial.points
    ]


def dial_of(rows: Sequence[Mapping[str, float]], overrun: float) -> Dial:
    """Return the dial in rows of JSON, all of whose values are numbers.

    Raises KeyError for a value that is missing, and ValueError for a dial that is none.
    """
    points = tuple(
        DialPoint(
            row["strength"],
            Prices(row["tail_price"], row["coverage_price"], row["taste_price"]),
            row["loss"],
            Prices(row["tail_alone"], row["coverage_alone"], row["taste_alone"]),
        )
        for row in rows
    )
    strengths = [point.strength for point in points]
    if len(points) < 2 or strengths[0] != 0 or strengths[-1] != 1:
        raise ValueError("the dial does not go from strength 0 to 1")
    if any(np.diff(strengths) <= 0):
        raise ValueError("the dial is not in the order of strength")
    if points[0].prices != Prices() or points[0].alone != Prices():
        raise ValueError("the dial has a price at strength 0, which is pure relevance")
    for before, after in pairwise(rows):
        for name in after:
            if after[name] < before[name]:
                raise ValueError(
                    f"{name} falls between strengths {before['strength']:g} and "
                    f"{after['strength']:g}"
                )
    if overrun <= 0:
        raise ValueError("overrun is 0: a list would lose nothing whatever it holds")
    return Dial(points, overrun)


def _of(prices: Prices) -> tuple[float, float, float]:
    return prices.tail, prices.coverage, prices.taste


def _with_odds(share: float, factor: float) -> float:
    return factor * share / (1 + (factor - 1) * share)


_PARTS = 3
