"""What is right: the nearest by every comparison, without any code of the index."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.context import Matrix

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
# Of a copy of an item as a query: the length of the noise, where the item's is 1.
NOISE = 0.5
# Two sums of the same products in different orders differ by less.
_ROUNDING = 1e-6
_QUERIES_AT_ONCE = 64


def noisy_copies(vectors: Matrix, count: int, seed: int) -> Matrix:
    """Return unit vectors (count, d), each of them near to a random one of `vectors` (n, d)."""
    draw = np.random.default_rng(seed)
    picked = vectors[draw.integers(len(vectors), size=count)]
    noise = draw.normal(size=picked.shape)
    copies = picked + noise * (NOISE / np.linalg.norm(noise, axis=1, keepdims=True))
    found: Matrix = (copies / np.linalg.norm(copies, axis=1, keepdims=True)).astype(np.float32)
    return found


def nearest_cosines(vectors: Matrix, asked: Matrix, k: int, allowed: Mask | None = None) -> Floats:
    """Return the cosines (q, k) of the `k` nearest of unit `vectors` to each of `asked` (q, d).

    Exactly, without any code of the index; the nearest first. `allowed` says which vectors count.
    Where there are fewer than k there are fewer columns.
    """
    among = vectors if allowed is None else vectors[allowed]
    k = min(k, len(among))
    found = []
    for start in range(0, len(asked), _QUERIES_AT_ONCE):
        cosines = asked[start : start + _QUERIES_AT_ONCE] @ among.T
        largest = np.partition(cosines, len(among) - k, axis=1)[:, len(among) - k :]
        found.append(np.sort(largest, axis=1)[:, ::-1])
    return np.concatenate(found).astype(np.float64)


def recall(exact: Floats, found: Sequence[Matrix], asked: Matrix) -> Floats:
    """Return for each query (q, d) the share of its k nearest that was found, (q,).

    `exact` (q, k) are their cosines, `found` the vectors (m, d) of what was returned. Whatever is
    as near as the k-th nearest is right: items with equal vectors can stand for each other.
    """
    shares = []
    for cosines, vectors, query in zip(exact, found, asked, strict=True):
        near = vectors[: len(cosines)] @ query >= cosines[-1] - _ROUNDING
        shares.append(float(near.sum()) / len(cosines))
    return np.array(shares)
