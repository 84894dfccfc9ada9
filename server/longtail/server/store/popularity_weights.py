"""How much each type of interaction counts in popularity."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from longtail.server.store.decay import DecayedSum

MAX_WEIGHT = 1_000_000.0
# Stands for every type that has no weight of its own.
ANY = "*"

NOTHING = DecayedSum(0.0, 0)


@dataclass(frozen=True)
class PopularityWeights:
    """The weight of each type, zero or more, and of every type that is not named."""

    by_type: Mapping[str, float] = field(default_factory=dict)
    other: float = 1.0

    @classmethod
    def parse(cls, text: str) -> "PopularityWeights":
        """Return the weights of a text like "view=0.1,purchase=5,*=1"; without * it is 1.

        Raises ValueError that goes on after the text.
        """
        weights: dict[str, float] = {}
        for part in text.split(","):
            kind, equals, number = (piece.strip() for piece in part.rpartition("="))
            if not (kind and equals):
                raise ValueError(f"has {part.strip()!r}, which is not type=weight")
            if kind in weights:
                raise ValueError(f"has {kind!r} twice")
            weights[kind] = _weight(kind, number)
        other = weights.pop(ANY, 1.0)
        return cls(weights, other)

    def of(self, kind: str) -> float:
        """Return the weight of a type."""
        return self.by_type.get(kind, self.other)

    def total(self, sums: Iterable[tuple[str, DecayedSum]], half_life: float) -> DecayedSum:
        """Return what sums of single types add up to; `half_life` in microseconds, or inf."""
        total = NOTHING
        for kind, unweighted in sums:
            mass = self.of(kind) * unweighted.mass
            if mass:
                weighted = DecayedSum(mass, unweighted.time)
                total = total.plus(weighted, half_life) if total.mass else weighted
        return total


def _weight(kind: str, number: str) -> float:
    try:
        weight = float(number)
    except ValueError:
        weight = math.nan
    # Written so that NaN, which compares false with everything, is refused too.
    if not 0 <= weight <= MAX_WEIGHT:
        raise ValueError(f"has {number!r} as the weight of {kind!r}, not 0 to {MAX_WEIGHT:g}")
    return weight
