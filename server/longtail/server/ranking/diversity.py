"""How different the items of a list are, and how to pick items that are."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Matrix = NDArray[np.float32]


def intra_list_diversity(vectors: Matrix) -> float:
    """Return the mean of 1 - cosine over all pairs of unit rows (n, d); zero for n below two."""
    n = len(vectors)
    if n < 2:
        return 0.0
    # The sum over all ordered pairs is the squared length of the sum of the vectors.
    total = vectors.sum(axis=0, dtype=np.float64)
    pairs = float(total @ total) - n
    return 1 - pairs / (n * (n - 1))


def pick_diverse(vectors: Matrix, worth: Floats, count: int, trade_off: float) -> list[int]:
    """Pick `count` of n unit rows (n, d) that are worth much and unlike each other.

    Maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998): each step takes the row with
    the largest trade_off * worth - (1 - trade_off) * similarity to the most similar row already
    taken. Both are scaled to 0..1 within the candidates, so that the trade-off means the same for
    every encoder. Returns positions in the order in which they were taken.
    """
    similarity = _unit_range(vectors @ vectors.T)
    worth = _unit_range(worth)
    nearest = np.zeros(len(worth))
    taken: list[int] = []
    free = np.ones(len(worth), bool)
    for _ in range(min(count, len(worth))):
        marginal = trade_off * worth - (1 - trade_off) * nearest
        best = int(np.argmax(np.where(free, marginal, -np.inf)))
        taken.append(best)
        free[best] = False
        nearest = np.maximum(nearest, similarity[best])
    return taken


def _unit_range(values: NDArray[np.floating]) -> Floats:
    low, high = float(values.min()), float(values.max())
    return (values.astype(np.float64) - low) / (high - low or 1.0)
