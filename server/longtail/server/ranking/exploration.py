"""Which of the hardly known items are shown, drawn so that the probability of each is known."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# A probability so near to 1 is 1.
ROUNDING = 1e-9


def inclusion_probabilities(size: Floats, count: int) -> Floats:
    """Return the probabilities (n,) of `count` draws, count <= n, in proportion to `size` (n,).

    They add up to `count`. None exceeds 1: what would is certain, and the others share the rest.
    `size` is above zero.
    """
    certain = np.zeros(len(size), bool)
    while True:
        left = count - int(certain.sum())
        shares = np.where(certain, 0.0, size)
        probability = np.where(certain, 1.0, left * shares / (shares.sum() or 1.0))
        over = (probability >= 1 - ROUNDING) & ~certain
        if not over.any():
            return probability
        certain |= over


def systematic_sample(probability: Floats, generator: np.random.Generator) -> Ints:
    """Draw without replacement, each position of `probability` (n,) with its probability.

    Systematic sampling with probabilities proportional to size (Madow, The Annals of Mathematical
    Statistics, 1949), over a random order: the probabilities are laid end to end, and one point is
    drawn that marks all the others at distances of 1. As many are drawn as the probabilities add up
    to. Returns positions in ascending order.
    """
    count = round(float(probability.sum()))
    order = generator.permutation(len(probability))
    ends = np.cumsum(probability[order])
    points = generator.random() + np.arange(count)
    # Rounding may leave the last end, or the last point, a hair off.
    hit = np.minimum(ends.searchsorted(points, side="right"), len(order) - 1)
    return np.sort(order[hit])


def affordable(relevance: Floats, discounts: Floats, least: float) -> int:
    """Return from how many of n candidates may be drawn, the most relevant ones.

    `relevance` (n,) falls, and so do the `discounts` (m,) of the places they are drawn for, m <= n.
    However the draw turns out, its DCG reaches `least`. Zero when not even the m most relevant do.
    """
    # The worst draw from the first i is of the last m of them.
    worst = sliding_window_view(relevance, len(discounts)) @ discounts
    enough = int(np.count_nonzero(worst >= least))
    return enough + len(discounts) - 1 if enough else 0
