"""What changes an estimated relevance: rules, an item's penalty, and having been shown lately."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# A share of it has no meaning in a list without any relevance, so none is quite irrelevant.
LEAST_RELEVANCE = 1e-9


def adjusted(estimate: Floats, rule_factor: Floats, penalty: Floats, rotation: Floats) -> Floats:
    """Return the relevance (n,) that candidates are ranked by, above 0 and at most 1.

    `estimate`: P(relevant). `rule_factor`: above 0, what its odds are multiplied by. `penalty` and
    `rotation`: 0 to 1, the shares that are taken off after that, one after the other. All (n,).
    """
    odds = rule_factor * estimate
    relevance = odds / (1 - estimate + odds)
    return np.maximum(relevance * (1 - penalty) * (1 - rotation), LEAST_RELEVANCE)


def faded(rate: float, half_life: float, ages: Floats) -> Floats:
    """Return the share (n,) of its relevance that each item loses for having been shown.

    `rate`: the share just after it was shown, 0 to 1; it halves every `half_life`. `ages` (n,): the
    time since, in the unit of `half_life`; infinite for what was never shown, and below zero, where
    clocks differ, taken as zero.
    """
    lost: Floats = rate * np.exp2(-np.maximum(ages, 0.0) / half_life)
    return lost
