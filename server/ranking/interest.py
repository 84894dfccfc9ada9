"""One interest vector out of a query, weighted examples and a person's history."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]

# Beside a query or examples, history refines; alone, it is all there is.
HISTORY_WEIGHT = 0.3
# An interaction counts half of one that is this many interactions more recent.
HISTORY_HALF_LIFE = 10.0
# Below this share of the weights that went in, a sum of unit vectors is rounding noise.
CANCELLED = 1e-4


class Part(IntEnum):
    """What an interest is made of; also the row of each in `Interest.parts`."""

    QUERY = 0
    EXAMPLES = 1
    HISTORY = 2


class CancelledInterestError(ValueError):
    """The weights cancel each other: nothing is left to be near to."""


@dataclass(frozen=True)
class Weighted:
    """A unit vector (d,) and how strongly it draws, or, below zero, pushes away."""

    vector: Vector
    weight: float


@dataclass(frozen=True)
class Interest:
    """A unit interest vector and what it is made of.

    `vector` (d,) is the sum of the `parts` (3, d), one row per Part. An item's
    cosine to the interest is therefore the sum of its products with the parts.
    """

    vector: Vector
    parts: NDArray[np.float64]


def fuse(
    query: Vector | None, examples: Sequence[Weighted], history: Sequence[Weighted]
) -> Interest | None:
    """Fuse into one interest, or None where there is nothing to go by.

    `history` is ordered from the most recent on. It counts only when something in it was liked:
    dislikes alone say what to leave out, not what to look for.

    Raises CancelledInterestError when query and examples cancel.
    """
    wanted = query is not None or bool(examples)
    past = _history_direction(history)
    if not wanted and past is None:
        return None
    dimension = next(
        len(vector)
        for vector in (query, past, *(example.vector for example in examples))
        if vector is not None
    )
    parts = np.zeros((len(Part), dimension))
    if query is not None:
        parts[Part.QUERY] = query
    for example in examples:
        parts[Part.EXAMPLES] += example.weight * example.vector.astype(np.float64)
    weight = float(query is not None) + sum(abs(example.weight) for example in examples)
    if wanted and np.linalg.norm(parts.sum(axis=0)) < CANCELLED * weight:
        raise CancelledInterestError
    if past is not None:
        parts[Part.HISTORY] = past * (HISTORY_WEIGHT if wanted else 1.0)
    norm = np.linalg.norm(parts.sum(axis=0))
    if norm < CANCELLED:
        raise CancelledInterestError
    parts /= norm
    return Interest(parts.sum(axis=0).astype(np.float32), parts)


def _history_direction(history: Sequence[Weighted]) -> NDArray[np.float64] | None:
    if not any(past.weight > 0 for past in history):
        return None
    decay = 0.5 ** (np.arange(len(history)) / HISTORY_HALF_LIFE)
    weights = decay * [past.weight for past in history]
    direction = weights @ np.stack([past.vector for past in history]).astype(np.float64)
    norm = np.linalg.norm(direction)
    return direction / norm if norm > CANCELLED * np.abs(weights).sum() else None
