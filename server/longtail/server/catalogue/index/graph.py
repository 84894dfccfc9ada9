"""The HNSW graph. The only module that knows hnswlib, and where its quiet dangers are met.

A graph is built, saved, and from then on only searched: hnswlib forbids adding, growing and
searching at once. A label is the row of one version of an item, so none is used twice and nothing
is updated in place. Room is taken before rows come. More neighbours than there are live rows are
never asked for. The width of the search, which hnswlib does not keep, is set after loading; and a
file that came out short, which hnswlib does not report, is an error.

As a graph does not change, what was searched for once needs not be searched for again: the vectors
of people and of common queries come back many times before the next graph is built.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import hnswlib
import numpy as np
from longtail.server.catalogue.kept_results import KeptResults
from longtail.server.process.durable import flush
from numpy.typing import NDArray

Rows = NDArray[np.int64]
Matrix = NDArray[np.float32]
Vector = NDArray[np.float32]
Floats = NDArray[np.float64]

SPACE = "ip"

# Results that are kept, the latest, and how large each may be: 50 MB at most.
KEPT_RESULTS, LARGEST_KEPT = 4096, 512


class GraphError(Exception):
    """The graph did not lead to as many neighbours as it holds."""


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


_Result: TypeAlias = tuple[Rows, Floats]
_Key: TypeAlias = tuple[int, bytes]


class Graph:
    """Nearest neighbours by inner product of unit vectors, under rows as labels."""

    def __init__(self, parameters: IndexParameters, capacity: int) -> None:
        self.parameters = parameters
        self._removed = 0
        self._kept = KeptResults[_Key, _Result](KEPT_RESULTS)
        self._graph = hnswlib.Index(space=SPACE, dim=parameters.dimension)
        self._graph.init_index(
            max_elements=max(1, capacity),
            M=parameters.links,
            ef_construction=parameters.ef_construction,
        )
        self._graph.set_ef(parameters.ef_search)

    @classmethod
    def load(cls, parameters: IndexParameters, file: Path, capacity: int, removed: int) -> "Graph":
        """Return the graph in `file`, with room for `capacity` rows; `removed` are those it lost.

        The caller vouches for the file: hnswlib takes a damaged one, or another one's, without a
        word.
        """
        graph = cls.__new__(cls)
        graph.parameters = parameters
        graph._removed = removed
        graph._kept = KeptResults[_Key, _Result](KEPT_RESULTS)
        graph._graph = hnswlib.Index(space=SPACE, dim=parameters.dimension)
        graph._graph.load_index(str(file), max_elements=capacity)
        graph._graph.set_ef(parameters.ef_search)
        return graph

    @property
    def live_count(self) -> int:
        """Rows that can be found."""
        return int(self._graph.get_current_count()) - self._removed

    @property
    def nbytes(self) -> int:
        """About the memory that it takes."""
        return int(self._graph.index_file_size())

    def add(self, rows: Rows, vectors: Matrix) -> None:
        """Add unit `vectors` (n, d) as new `rows` (n,), on this thread alone."""
        self._graph.add_items(vectors, rows.astype(np.uint64), num_threads=1)
        self._kept = KeptResults[_Key, _Result](KEPT_RESULTS)

    def remove(self, row: int) -> None:
        """Make a row unfindable that is not yet."""
        self._graph.mark_deleted(row)
        self._removed += 1
        self._kept = KeptResults[_Key, _Result](KEPT_RESULTS)

    def search(self, vectors: Matrix, k: int) -> list[_Result]:
        """Return the `k` rows nearest to each of `vectors` (n, d), and their cosines.

        From the nearest on; all rows when fewer are live. The arrays are not to be written to.
        Raises GraphError when the links do not lead to so many, as among many equal vectors.
        """
        k = min(k, self.live_count)
        if k == 0:
            return [(np.empty(0, np.int64), np.empty(0))] * len(vectors)
        if k > LARGEST_KEPT:
            return self._search(vectors, k)
        keys = [(k, vector.tobytes()) for vector in vectors]
        found = self._kept.get(keys)
        new = [at for at, result in enumerate(found) if result is None]
        if new:
            searched = self._search(vectors[new], k)
            self._kept.put((keys[at] for at in new), searched)
            for at, result in zip(new, searched, strict=True):
                found[at] = result
        return [result for result in found if result is not None]

    def _search(self, vectors: Matrix, k: int) -> list[_Result]:
        try:
            rows, distances = self._graph.knn_query(vectors, k, num_threads=1)
        except RuntimeError as error:
            raise GraphError(f"fewer than {k} rows were found") from error
        rows, cosines = rows.astype(np.int64), 1 - distances.astype(np.float64)
        rows.setflags(write=False)
        cosines.setflags(write=False)
        return list(zip(rows, cosines, strict=True))

    def save(self, file: Path) -> None:
        """Write the graph and bring it to the disk; raise OSError when it does not fit."""
        self._graph.save_index(str(file))
        flush(file)
        written, expected = file.stat().st_size, int(self._graph.index_file_size())
        if written != expected:
            raise OSError(f"{file}: {written} of {expected} bytes were written")
