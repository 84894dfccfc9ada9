"""How far the buckets of a list are from those of what a person likes."""

import numpy as np
from longtail.server.ranking.places import numbers
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_LEAST_SHARE = float(np.finfo(np.float64).tiny)


def taste_divergence(taste: Floats | None, counts: Ints) -> Floats:
    """Return the Jensen-Shannon divergence, 0 to 1, of lists from a taste (3,); 0 without one.

    `counts` (r, 3): how many of each bucket a list holds, of the same length all of them.
    """
    if taste is None:
        return np.zeros(len(counts))
    added = divergence_by_count(taste, int(counts[0].sum()))
    divergence: Floats = added[np.arange(len(taste)), counts].sum(axis=1)
    return np.maximum(divergence, 0.0)


def divergence_by_count(taste: Floats, k: int) -> Floats:
    """Return what 0 to k items of each bucket in a list of k add to its divergence, (3, k + 1)."""
    liked, listed = taste[:, None], numbers(k) / k
    middle = (listed + liked) / 2
    added: Floats = (_relative_entropy(listed, middle) + _relative_entropy(liked, middle)) / 2
    return added


def _relative_entropy(of: Floats, against: Floats) -> Floats:
    # Of a share of zero nothing is left, whatever the logarithm, so long as it is finite.
    terms: Floats = of * np.log2(np.maximum(of, _LEAST_SHARE) / np.maximum(against, _LEAST_SHARE))
    return terms
