"""What every re-ranker is given and what it gives back: the same pools, the same scores."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class Catalogue:
    """What is known of all I items before the test period.

    `popularity` (I,): interactions in train and validation. `bucket` (I,): the
    `longtail.server.ranking.popularity.Bucket` of each. `vectors` (I, d): unit text vectors.
    """

    popularity: Floats
    bucket: NDArray[np.int8]
    vectors: Matrix


@dataclass(frozen=True)
class Task:
    """U requests, each with a pool of n candidates of which k are to be shown.

    `items` (U, n): catalogue positions, distinct within a row, in no particular order.
    `scores` (U, n): in (0, 1], the only statement about relevance: raw scores, brought to the unit
    range within each pool, or calibrated probabilities. `taste` (U, 3): the share of head, middle
    and tail in what each person liked before, smoothed; rows sum to 1. `profile_length` (U,): how
    many items that was. Rows are in the order in which the requests arrive, for methods that keep a
    running state. `seed` is for methods that draw at random.
    """

    catalogue: Catalogue
    k: int
    items: Ints
    scores: Floats
    taste: Floats
    profile_length: Ints
    seed: int

    def rows(self, chosen: Ints) -> "Task":
        """Return the task of the requests `chosen` (m,) alone."""
        return replace(
            self,
            items=self.items[chosen],
            scores=self.scores[chosen],
            taste=self.taste[chosen],
            profile_length=self.profile_length[chosen],
        )


# From a task and a dial value to lists (U, k): positions in each pool, in the order of display.
Rerank = Callable[[Task, float], Ints]


class Family(StrEnum):
    """Where a method comes from."""

    LONGTAIL = "longtail"
    ABLATION = "ablation"
    BASELINE = "baseline"
    OUTSIDE = "outside"


@dataclass(frozen=True)
class Method:
    """A re-ranker and the dial values at which it is run, from the mildest to the strongest."""

    name: str
    family: Family
    dials: tuple[float, ...]
    rerank: Rerank
