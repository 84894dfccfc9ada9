"""What a base recommender learns from: who liked what, in which order, and the texts' vectors."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from evaluation.task import Floats, Ints, Matrix
from evaluation.world import World

# Scores (n, I) of all items for people (n,) by number; what they have met with is left out later.
Score = Callable[[Ints], Floats]
Setting = Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Known:
    """The m likes of U people among I items before a period.

    `people` (m,) and `items` (m,): by person, the latest first. `vectors` (I, d): unit rows.
    """

    people: Ints
    items: Ints
    vectors: Matrix
    shape: tuple[int, int]
    seed: int

    @classmethod
    def of(cls, world: World, seed: int) -> "Known":
        """Take what was known in a world."""
        people, items = world.liked()
        return cls(people, items, world.vectors, (world.people, world.items), seed)

    @cached_property
    def likes(self) -> sparse.csr_matrix:
        """Who liked what, (U, I), of 0 and 1."""
        return self.weighted(np.ones(len(self.items)))

    @cached_property
    def age(self) -> Ints:
        """How many likes of the same person are more recent, of each like (m,)."""
        starts = np.searchsorted(self.people, self.people)
        return np.arange(len(self.people)) - starts

    @cached_property
    def popularity(self) -> Floats:
        """How many people like each item, (I,)."""
        return np.bincount(self.items, minlength=self.shape[1]).astype(np.float64)

    def weighted(self, weights: Floats) -> sparse.csr_matrix:
        """Return `weights` (m,) of the likes as a matrix (U, I)."""
        return sparse.csr_matrix((weights, (self.people, self.items)), self.shape)

    def recent(self, decay: float) -> sparse.csr_matrix:
        """Return the likes (U, I), each worth `decay` of the one that is more recent by one."""
        return self.weighted(decay ** np.minimum(self.age, FORGOTTEN))


# A like with so many more recent ones has the weight of this one: nothing underflows.
FORGOTTEN = 200


@dataclass(frozen=True)
class Base:
    """A recommender and what each of its settings may be.

    `fit` learns from what is known and may raise TooLargeError.
    """

    name: str
    choices: Mapping[str, tuple[float, ...]]
    fit: Callable[[Known, Setting], Score] = field(repr=False)


class TooLargeError(Exception):
    """A recommender would need more memory than it may have; the message says how much."""


def dense(product: sparse.spmatrix) -> NDArray[np.float64]:
    """Return a sparse matrix as an array."""
    array: NDArray[np.float64] = np.asarray(product.todense(), np.float64)
    return array
