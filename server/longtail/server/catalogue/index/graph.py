"""What a graph is to the index: neighbours by inner product, in memory or in an engine."""

from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from longtail.server.catalogue.kept_results import KeptResults
from numpy.typing import NDArray

Rows = NDArray[np.int64]
Matrix = NDArray[np.float32]
Vector = NDArray[np.float32]
Floats = NDArray[np.float64]
# Rows and their cosines.
Result: TypeAlias = tuple[Rows, Floats]

SPACE = "ip"

# Results that are kept, the latest, and how large each may be: 50 MB at most.
KEPT_RESULTS, LARGEST_KEPT = 4096, 512


class GraphError(Exception):
    """The graph did not lead to as many neighbours as it holds."""


class GraphAway(GraphError):
    """The graph is in an engine that does not answer now."""


@dataclass(frozen=True)
class IndexParameters:
    """What decides how an index is built; see hnswlib's ALGO_PARAMS.

    `links` (M) and `ef_construction` buy recall with memory and build time, `ef_search` with the
    time of each search.
    """

    dimension: int
    links: int
    ef_construction: int
    ef_search: int


class Graph(Protocol):
    """Nearest neighbours by inner product of unit vectors, under the rows of a generation."""

    @property
    def live_count(self) -> int:
        """Rows that can be found."""

    @property
    def nbytes(self) -> int:
        """About the memory of this process that it takes."""

    @property
    def is_lost(self) -> bool:
        """Whether it is gone and has to be built anew."""

    def search(self, vectors: Matrix, k: int) -> list[Result]:
        """Return the `k` rows nearest to each of `vectors` (n, d), and their cosines.

        From the nearest on; all rows when fewer are live. The arrays are not to be written to.
        Raises GraphError when it does not lead to so many.
        """


class KeptSearches:
    """What a graph that does not change was searched for, which needs not be searched for again.

    The vectors of people and of common queries come back many times before the next graph is built.
    """

    def __init__(self) -> None:
        self._kept = KeptResults[tuple[int, bytes], Result](KEPT_RESULTS)

    def __len__(self) -> int:
        return len(self._kept)

    def search(self, vectors: Matrix, k: int, search: "Search") -> list[Result]:
        """Return what `search` returns, called only for what is not held."""
        if k > LARGEST_KEPT:
            return search(vectors, k)

        def searched(new: list[int]) -> list[Result]:
            found = search(vectors[new], k)
            for result in found:
                for array in result:
                    array.setflags(write=False)
            return found

        return self._kept.found([(k, vector.tobytes()) for vector in vectors], searched)


class Search(Protocol):
    """A search as a function."""

    def __call__(self, vectors: Matrix, k: int, /) -> list[Result]:
        """Return the `k` rows nearest to each of `vectors`, and their cosines."""
