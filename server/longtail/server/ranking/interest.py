"""What a request is after: one interest out of query and examples, or several out of a history.

A person has several interests, and their mean lies between them, near to none. So a history alone
is searched as up to MAX_INTERESTS directions: the medoids of the recent, time-decayed likes (Pal
et al., "PinnerSage", KDD 2020), each with what belongs to it. Beside a query or examples, which
dominate, the one nearest to them refines.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
Directions = NDArray[np.float64]

# Beside a query or examples, history refines; alone, it is all there is.
HISTORY_WEIGHT = 0.3
# An interaction counts half of one that is this many interactions more recent.
HISTORY_HALF_LIFE = 10.0
MAX_INTERESTS = 3
# A further interest must bring so much of the history nearer, as a share of its weight.
WORTHWHILE = 0.02
# How strongly dislikes push a direction away from them, against the likes that make it.
PUSH = 0.3
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

    `vector` (d,) is the sum of the `parts` (3, d), one row per Part. An item's cosine to the
    interest is therefore the sum of its products with the parts. `share`: how much of what is
    wanted it stands for; the shares of a request add up to 1.
    """

    vector: Vector
    parts: Directions
    share: float


def interests(
    query: Vector | None, examples: Sequence[Weighted], history: Sequence[Weighted]
) -> tuple[Interest, ...]:
    """Return the interests, the largest first; none where there is nothing to go by.

    `history` is ordered from the most recent on. It counts only when something in it was liked:
    dislikes alone say what to leave out, not what to look for.

    Raises CancelledInterestError when query and examples cancel.
    """
    past, shares = _past(history)
    wanted = _wanted(query, examples)
    if wanted is None:
        return tuple(
            _interest(_only(Part.HISTORY, direction), share)
            for direction, share in zip(past, shares, strict=True)
        )
    parts = wanted
    if len(past):
        whole = wanted.sum(axis=0)
        nearest = past[np.argmax(past @ whole)]
        parts[Part.HISTORY] = HISTORY_WEIGHT * nearest
    if np.linalg.norm(parts.sum(axis=0)) < CANCELLED:
        raise CancelledInterestError
    return (_interest(parts, 1.0),)


def _wanted(query: Vector | None, examples: Sequence[Weighted]) -> Directions | None:
    if query is None and not examples:
        return None
    dimension = len(query) if query is not None else len(examples[0].vector)
    parts = np.zeros((len(Part), dimension))
    if query is not None:
        parts[Part.QUERY] = query
    for example in examples:
        parts[Part.EXAMPLES] += example.weight * example.vector.astype(np.float64)
    weight = float(query is not None) + sum(abs(example.weight) for example in examples)
    if np.linalg.norm(parts.sum(axis=0)) < CANCELLED * weight:
        raise CancelledInterestError
    return parts


def _past(history: Sequence[Weighted]) -> tuple[Directions, list[float]]:
    """Return unit directions (m, d) of a history and the share of each, the largest first."""
    if not any(past.weight > 0 for past in history):
        return np.empty((0, 0)), []
    vectors = np.stack([past.vector for past in history]).astype(np.float64)
    weights = 0.5 ** (np.arange(len(history)) / HISTORY_HALF_LIFE) * [p.weight for p in history]
    liked = weights > 0
    likes, worth = vectors[liked], weights[liked]
    cosines = likes @ likes.T
    medoids = _medoids(cosines, worth)
    of_medoid = cosines[medoids].argmax(axis=0)
    push = (
        PUSH * (weights[~liked] @ vectors[~liked]) / np.abs(weights).sum() if (~liked).any() else 0
    )
    directions, shares = [], []
    for medoid in range(len(medoids)):
        mine = worth * (of_medoid == medoid)
        direction = mine @ likes / mine.sum() + push
        norm = np.linalg.norm(direction)
        if norm > CANCELLED:
            directions.append(direction / norm)
            shares.append(float(mine.sum()))
    order = np.argsort(-np.array(shares), kind="stable")
    total = sum(shares) or 1.0
    return np.array(directions).reshape(len(shares), -1)[order], [
        shares[at] / total for at in order
    ]


def _medoids(cosines: Directions, worth: NDArray[np.float64]) -> list[int]:
    """Choose the likes that the others are near to: greedily, for the largest sum of cosines."""
    chosen: list[int] = []
    reached = np.zeros(len(worth))
    while len(chosen) < min(MAX_INTERESTS, len(worth)):
        gains = np.maximum(cosines - reached, 0.0) @ worth
        best = int(np.argmax(gains))
        if chosen and gains[best] < WORTHWHILE * worth.sum():
            break
        chosen.append(best)
        reached = np.maximum(reached, cosines[best])
    return chosen


def _only(part: Part, direction: NDArray[np.float64]) -> Directions:
    parts = np.zeros((len(Part), len(direction)))
    parts[part] = direction
    return parts


def _interest(parts: Directions, share: float) -> Interest:
    parts = parts / np.linalg.norm(parts.sum(axis=0))
    return Interest(parts.sum(axis=0).astype(np.float32), parts, share)
