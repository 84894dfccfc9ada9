"""Which items are equal, or so nearly that a list shall hold one of them."""

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Matrix = NDArray[np.float32]

# From this cosine on, items are the same: their texts differ in a sign, if at all, or were encoded
# on another device. Of texts of packages, "v1.31" and "v1.34" are at 0.997, the same words in
# another order at 0.9987.
SAME = 0.999
# So many numbers of a vector tell nearly all pairs that are not the same.
SKETCH = 16
# What the rounding of a product of unit vectors may add.
ROUNDING = 1e-6
# Compared with each other at a time.
BLOCK = 256


def leaders(vectors: Matrix) -> Ints:
    """Return for each of n unit `vectors` (n, d) the position of what it is a copy of, (n,).

    That is the first before it that is the same and no copy itself; its own where there is none.
    """
    found = np.arange(len(vectors))
    for start in range(0, len(vectors), BLOCK):
        block = vectors[start : start + BLOCK]
        for before in range(0, start, BLOCK):
            earlier, later = _same(vectors[before : before + BLOCK], block, 0)
            _join(found, earlier + before, later + start)
        earlier, later = _same(block, block, len(block))
        forward = earlier < later
        _join(found, earlier[forward] + start, later[forward] + start)
    return found


def _same(some: Matrix, others: Matrix, known: int) -> tuple[Ints, Ints]:
    """Return positions, (p,) each, of the pairs of `some` (n, d) and `others` (m, d) that are same.

    In the order of the first of each. So many are `known`: those of a row and itself.
    """
    start, end = some[:, :SKETCH], others[:, :SKETCH]
    # Minus half of the squared distance of what is compared first.
    close = start @ end.T
    close -= _half(start)[:, None]
    close -= _half(end)
    positions = (close >= SAME - 1 - ROUNDING).ravel().nonzero()[0]
    if len(positions) <= known:
        return positions[:0], positions[:0]
    first, second = np.divmod(positions, len(others))
    if len(positions) > known + len(some) + len(others):
        # Too many are close to be compared one by one.
        first, second = np.divmod(np.flatnonzero(some @ others.T >= SAME), len(others))
        return first, second
    if known:
        apart = first != second
        first, second = first[apart], second[apart]
    same = np.einsum("ij,ij->i", some[first], others[second]) >= SAME
    return first[same], second[same]


def _half(vectors: Matrix) -> Matrix:
    half: Matrix = np.square(vectors).sum(axis=1) / 2
    return half


def _join(found: Ints, earlier: Ints, later: Ints) -> None:
    """Make copies of those of pairs (p,) that come `later`, where the `earlier` is none."""
    if not len(earlier):
        return
    heads, starts = np.unique(earlier, return_index=True)
    for head, same in zip(heads.tolist(), np.split(later, starts[1:]), strict=True):
        if found[head] == head:
            found[same[found[same] == same]] = head
