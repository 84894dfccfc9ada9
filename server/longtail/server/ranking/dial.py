"""The long-tail dial: the prices that a strength stands for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from longtail.server.ranking.quota import Prices
from numpy.typing import NDArray

# At strength 1 a tail item is worth more than whatever it takes the place of, in a list of 100 too.
WHOLE_TAIL = 200.0


@dataclass(frozen=True)
class DialPoint:
    """The prices at a strength, and the share of expected DCG that lists with them lose."""

    strength: float
    prices: Prices
    loss: float


@dataclass(frozen=True)
class Dial:
    """Points in the order of strength, from 0, where nothing has a price, to 1."""

    points: tuple[DialPoint, ...]

    def prices(self, strength: float) -> Prices:
        """Return the prices at a strength, between two points in proportion."""
        at, _, *prices = self._columns
        tail, coverage, taste = (float(np.interp(strength, at, price)) for price in prices)
        return Prices(tail, coverage, taste)

    def loss(self, strength: float) -> float:
        """Return what lists at a strength lose, between two points in proportion."""
        at, losses, *_ = self._columns
        return float(np.interp(strength, at, losses))

    @cached_property
    def _columns(self) -> NDArray[np.float64]:
        rows = [
            (
                point.strength,
                point.loss,
                point.prices.tail,
                point.prices.coverage,
                point.prices.taste,
            )
            for point in self.points
        ]
        return np.array(rows).T


def dial_rows(dial: Dial) -> list[dict[str, float]]:
    """Return a dial as JSON has it."""
    return [
        {
            "strength": point.strength,
            "tail_price": point.prices.tail,
            "coverage_price": point.prices.coverage,
            "taste_price": point.prices.taste,
            "loss": point.loss,
        }
        for point in dial.points
    ]


def dial_of(rows: Sequence[Mapping[str, float]]) -> Dial:
    """Return the dial in rows of JSON, all of whose values are numbers.

    Raises KeyError for a value that is missing, and ValueError for a dial that is none.
    """
    points = tuple(
        DialPoint(
            row["strength"],
            Prices(row["tail_price"], row["coverage_price"], row["taste_price"]),
            row["loss"],
        )
        for row in rows
    )
    strengths = [point.strength for point in points]
    if len(points) < 2 or strengths[0] != 0 or strengths[-1] != 1:
        raise ValueError("the dial does not go from strength 0 to 1")
    if any(np.diff(strengths) <= 0):
        raise ValueError("the dial is not in the order of strength")
    if points[0].prices != Prices():
        raise ValueError("the dial has a price at strength 0, which is pure relevance")
    return Dial(points)
