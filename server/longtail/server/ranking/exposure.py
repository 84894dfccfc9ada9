"""How often each item is shown, and what that makes of its claim to be shown.

Maximising relevance plus a concave function of each item's exposure gives an item a price that
falls with the exposure it has. The exposure depends on the prices in turn: what settles both is the
average of the iterates, since the last one swings between showing an item always and never.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ITERATIONS = 40
# Exposure that is expected counts like so many recorded impressions per item of the catalogue: what
# is really shown soon outweighs it.
EXPECTED_WEIGHT = 0.1
# What is shown so often, 1 being the average of the catalogue, is worth 0.7 of what never is. Few
# items are shown as often as the average, so rarity has to tell apart what lies far below it.
SELDOM = 1 / 64


def rarity(exposure: Floats) -> Floats:
    """Return 0 to 1 for items with this `exposure` (n,), 1 being the average of the catalogue.

    It is the derivative of a square root, and 1 for what is never shown.
    """
    claim: Floats = 1 / np.sqrt(1 + exposure / SELDOM)
    return claim


def blended(expected: Floats, counts: Floats, mean_count: float) -> Floats:
    """Return the exposure of n items from what is `expected` (n,) and what was counted (n,).

    Where `expected` averages 1 over the catalogue the result does too; `mean_count` is the average
    of the counts.
    """
    exposure: Floats = (EXPECTED_WEIGHT * expected + counts) / (EXPECTED_WEIGHT + mean_count)
    return exposure


def settled(shown: Callable[[Floats], Floats], items: int) -> Floats:
    """Return the exposure (items,) that a re-ranker gives when it is priced by that exposure.

    `shown` tells how often each item is shown under prices for an exposure, (items,) to (items,).
    """
    exposure = np.ones(items)
    for step in range(ITERATIONS):
        counts = shown(exposure)
        # The first takes the place of where it started.
        exposure += (counts * (items / counts.sum()) - exposure) / (step + 1)
    return exposure
