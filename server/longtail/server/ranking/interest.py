"""What a request is after: one interest out of query and examples, or several out of a history.

A person has several interests, and their mean lies between them, near to none. So a history alone
is searched as up to MAX_INTERESTS directions: the medoids of the recent, time-decayed likes (Pal
et al., "PinnerSage", KDD 2020), each with what belongs to it. Beside a query or examples, which
dominate, the one nearest to them refines.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
Matrix = NDArray[np.float32]
Directions = NDArray[np.float64]
Floats = NDArray[np.float64]

# Beside a query or examples, history refines; alone, it is all there is.
HISTORY_WEIGHT = 0.3
# An interaction counts half of one that is this many interactions more recent.
HISTORY_HALF_LIFE = 10.0
MAX_INTERESTS = 3
# A further interest must bring so much of the history nearer, as a share of its weight.
WORTHWHILE = 0.02
# An item is as near to likes as to so many of them, the nearest.
NEAR = 3
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
    """Unit `vectors` (m, d), and how strongly each draws or, below zero, pushes away, (m,)."""

    vectors: NDArray[np.floating]
    weights: Floats


@dataclass(frozen=True)
class Interest:
    """A unit interest vector and what it is made of.

    `vector` (d,) is the sum of `directions` (p, d), one for each Part in `drawn` (p,). An item's
    cosine to the interest is therefore the sum of its products with them. `share`: how much of what
    is wanted it stands for; the shares of a request add up to 1.
    """

    vector: Vector
    drawn: Sequence[int]
    directions: Directions
    share: float

    @property
    def parts(self) -> Directions:
        """The directions of all parts (3, d), zero for those that there are not."""
        parts = np.zeros((len(Part), len(self.vector)))
        parts[self.drawn] = self.directions
        return parts

    @cached_property
    def short(self) -> Matrix:
        """The directions (p, d) as the vectors of items are."""
        return self.directions.astype(np.float32)

    @property
    def nbytes(self) -> int:
        """What its arrays take, with what is made of them when it is first used."""
        return self.vector.nbytes + self.directions.nbytes + self.directions.nbytes // 2


def interests(
    query: Vector | None, examples: Weighted, past: Sequence[Interest]
) -> tuple[Interest, ...]:
    """Return the interests, the largest first; none where there is nothing to go by.

    `past`: those of the history alone.

    Raises CancelledInterestError when query and examples cancel.
    """
    if query is None and not len(examples.weights):
        return tuple(past)
    parts = _wanted(query, examples)
    if past:
        directions = np.array([interest.parts[Part.HISTORY] for interest in past])
        nearest = directions[np.argmax(directions @ parts.sum(axis=0))]
        parts[Part.HISTORY] = HISTORY_WEIGHT * nearest
    if _length(parts) < CANCELLED:
        raise CancelledInterestError
    return (_interest(parts, 1.0),)


def past_interests(history: Weighted) -> tuple[Interest, ...]:
    """Return the interests that a history shows, the largest first.

    It is ordered from the most recent on. It counts only when something in it was liked: dislikes
    alone say what to leave out, not what to look for.
    """
    past, shares = _past(history)
    return _of_history(past, shares)


def past_directions(history: Weighted) -> Weighted:
    """Return what `past_interests` does as directions and their shares: a sixth of the memory."""
    past, shares = _past(history)
    return Weighted(past.astype(np.float32), np.array(shares))


def interests_again(directions: Weighted) -> tuple[Interest, ...]:
    """Return the interests that `past_directions` were made of."""
    return _of_history(directions.vectors.astype(np.float64), directions.weights.tolist())


def nearest_parts(vectors: Matrix, wanted: Sequence[Interest]) -> Floats:
    """Return what the parts of the nearest interest add to the cosines of `vectors` (n, d), (n, 3).

    All zero where there is no interest.
    """
    if not wanted:
        return np.zeros((len(vectors), len(Part)))
    # Most parts are empty: a history alone has neither query nor examples.
    products = np.zeros((len(vectors), len(wanted), len(Part)))
    places = [at * len(Part) + part for at, each in enumerate(wanted) for part in each.drawn]
    cosines = vectors @ np.concatenate([each.short for each in wanted]).T
    products.reshape(len(vectors), len(wanted) * len(Part))[:, places] = cosines
    if len(wanted) == 1:
        return products[:, 0]
    nearest = products.sum(axis=2).argmax(axis=1)
    parts: Floats = products[np.arange(len(vectors)), nearest]
    return parts


def like_parts(vectors: Matrix, likes: Matrix, examples: int) -> Floats:
    """Return what the parts add to how near `vectors` (n, d) are to likes, (n, 3).

    That is the mean of the cosines to the NEAR nearest of the `likes` (m, d), the first `examples`
    of which are examples and the others a history. It tells more of an item than an interest does,
    which lies between likes and is near to none of them.
    """
    parts = np.zeros((len(vectors), len(Part)))
    near = min(NEAR, len(likes))
    if not near or not len(vectors):
        return parts
    cosines = vectors @ likes.T
    if examples in (0, len(likes)):
        # All are of one kind, as in nearly all requests: which are the nearest makes no difference.
        best = np.partition(cosines, -near, axis=1)[:, -near:]
        parts[:, Part.EXAMPLES if examples else Part.HISTORY] = best.sum(axis=1) / near
        return parts
    nearest = np.argpartition(-cosines, near - 1, axis=1)[:, :near]
    found = np.take_along_axis(cosines, nearest, axis=1) / near
    parts[:, Part.EXAMPLES] = np.where(nearest < examples, found, 0.0).sum(axis=1)
    parts[:, Part.HISTORY] = np.where(nearest < examples, 0.0, found).sum(axis=1)
    return parts


def _of_history(directions: Directions, shares: Sequence[float]) -> tuple[Interest, ...]:
    return tuple(
        _interest(_only(Part.HISTORY, direction), share)
        for direction, share in zip(directions, shares, strict=True)
    )


def _wanted(query: Vector | None, examples: Weighted) -> Directions:
    parts = np.zeros((len(Part), examples.vectors.shape[1]))
    weight = np.abs(examples.weights).sum()
    if query is not None:
        parts[Part.QUERY] = query
        weight += 1.0
    if len(examples.weights):
        parts[Part.EXAMPLES] = examples.weights @ examples.vectors.astype(np.float64)
    if _length(parts) < CANCELLED * weight:
        raise CancelledInterestError
    return parts


def _past(history: Weighted) -> tuple[Directions, list[float]]:
    """Return unit directions (m, d) of a history and the share of each, the largest first."""
    liked = history.weights > 0
    if not liked.any():
        return np.empty((0, 0)), []
    vectors = history.vectors
    weights = _decay(len(vectors)) * history.weights
    likes, worth = vectors[liked], weights[liked]
    cosines = likes @ likes.T
    medoids = _medoids(cosines, worth)
    of_medoid = cosines[medoids].argmax(axis=0)
    mine = worth * (of_medoid == np.arange(len(medoids))[:, None])
    shares = mine.sum(axis=1)
    found = mine @ likes.astype(np.float64) / shares[:, None]
    if len(likes) < len(vectors):
        found += PUSH * (weights[~liked] @ vectors[~liked]) / np.abs(weights).sum()
    lengths = np.sqrt(np.square(found).sum(axis=1))
    kept = np.flatnonzero(lengths > CANCELLED)
    kept = kept[np.argsort(-shares[kept], kind="stable")]
    shares = shares[kept]
    return found[kept] / lengths[kept, None], (shares / (shares.sum() or 1.0)).tolist()


@lru_cache(maxsize=128)
def _decay(length: int) -> Floats:
    decay: Floats = 0.5 ** (np.arange(length) / HISTORY_HALF_LIFE)
    decay.setflags(write=False)
    return decay


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


def _length(parts: Directions) -> float:
    whole = parts.sum(axis=0)
    return math.sqrt(whole @ whole)


def _interest(parts: Directions, share: float) -> Interest:
    parts = parts / _length(parts)
    drawn = np.flatnonzero(parts.any(axis=1))
    return Interest(parts.sum(axis=0).astype(np.float32), drawn.tolist(), parts[drawn], share)
