"""Sums whose parts lose half their weight with every half-life: forward decay.

All parts decay alike, so how two sums compare does not change while nothing is added, and none of
them has to be touched as time goes by: Cormode, Shkapenyuk, Srivastava and Xu, "Forward Decay: A
Practical Time Decay Model for Streaming Systems" (ICDE 2009). A sum is kept as of its own newest
part, so no time is so far from another that it overflows.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass


def decayed(mass: float, age: int, half_life: float) -> float:
    """Return what is left of a mass after a time."""
    return mass * 2 ** (-age / half_life)


@dataclass(frozen=True, slots=True)
class DecayedSum:
    """What parts of weight above zero add up to at `time`, in microseconds: the newest one's."""

    mass: float
    time: int

    @classmethod
    def of(cls, times: Iterable[int], half_life: float) -> "DecayedSum":
        """Return the sum of parts of weight 1 at `times`, at least one; `half_life` > 0 in us."""
        moments = list(times)
        newest = max(moments)
        return cls(sum(2 ** ((time - newest) / half_life) for time in moments), newest)

    def at(self, time: int, half_life: float) -> float:
        """Return the sum as of a time that is not before its own."""
        return decayed(self.mass, time - self.time, half_life)

    def plus(self, other: "DecayedSum", half_life: float) -> "DecayedSum":
        """Return the sum of the parts of both."""
        time = max(self.time, other.time)
        return DecayedSum(self.at(time, half_life) + other.at(time, half_life), time)

    def minus(self, other: "DecayedSum", half_life: float) -> "DecayedSum":
        """Return the sum without the parts of `other`, which are among its own, never below 0."""
        mass = self.mass - other.at(self.time, half_life)
        return DecayedSum(max(0.0, mass), self.time)

    def level(self, half_life: float) -> float:
        """Return the sum on a scale of half-lives, -inf for none.

        Sums of one half-life are to each other as the powers of two of their levels.
        """
        return math.log2(self.mass) + self.time / half_life if self.mass > 0 else -math.inf
