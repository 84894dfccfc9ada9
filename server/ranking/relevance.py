"""From similarity to an estimated probability of relevance.

Cosines of different encoders, and of different queries to one encoder, lie in different ranges;
what carries over is how far a candidate stands out from the other candidates of its request. So
the probability is a logistic function of the z-score within the pool.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Of a pool whose scores are normally distributed about one candidate in six comes out relevant.
# These stand in until weights are fitted on behaviour.
SLOPE = 1.0
INTERCEPT = -2.0
# Scores that differ by less than this do not differ.
FLAT = 1e-6


@dataclass(frozen=True)
class RelevanceModel:
    """A logistic function of the z-score within one pool."""

    mean: float
    deviation: float

    @classmethod
    def of_pool(cls, scores: Floats) -> "RelevanceModel":
        """Take the pool's `scores` (n,), n at least 1, as the scale."""
        return cls(float(scores.mean()), float(scores.std()))

    def probability(self, scores: Floats) -> Floats:
        """Return P(relevant) for `scores` (m,), from the pool or not, each in (0, 1)."""
        if self.deviation < FLAT:
            z = np.zeros_like(scores)
        else:
            z = (scores - self.mean) / self.deviation
        # Beyond this the result would round to 0 or 1.
        return 1 / (1 + np.exp(-np.clip(SLOPE * z + INTERCEPT, -30, 30)))
