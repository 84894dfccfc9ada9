"""What an exact search finds, worked out without any code of the index, and how much of it came."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]

# Two sums of the same products in different orders differ by less.
ROUNDING = 1e-6
_QUERIES_AT_ONCE = 64


def nearest_cosines(
    vectors: Matrix, queries: Matrix, k: int, allowed: Mask | None = None
) -> Floats:
    """Return the cosines (n, k) of the `k` nearest of unit `vectors` to each of `queries` (n, d).

    The nearest come first; `allowed` says which vectors count. Where there are fewer than k there
    are fewer columns.
    """
    among = vectors if allowed is None else vectors[allowed]
    k = min(k, len(among))
    found = []
    for start in range(0, len(queries), _QUERIES_AT_ONCE):
        cosines = queries[start : start + _QUERIES_AT_ONCE] @ among.T
        largest = np.partition(cosines, len(among) - k, axis=1)[:, len(among) - k :]
        found.append(np.sort(largest, axis=1)[:, ::-1])
    return np.concatenate(found).astype(np.float64)


def recall(exact: Floats, found: Sequence[Matrix], queries: Matrix) -> Floats:
    """Return for each query the share of its k nearest that was found, (n,).

    `exact` (n, k) are their cosines, `found` the vectors (m, d) of what was returned. Whatever is
    as near as the k-th nearest is right: items with equal vectors can stand for each other.
    """
    shares = []
    for cosines, vectors, query in zip(exact, found, queries, strict=True):
        near = vectors[: len(cosines)] @ query >= cosines[-1] - ROUNDING
        shares.append(float(near.sum()) / len(cosines))
    return np.array(shares)
