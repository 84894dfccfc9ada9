"""The HNSW graph. The only module that knows hnswlib, and where its quiet dangers are met.

A graph is built, saved, and from then on only searched: hnswlib forbids adding, growing and
searching at once. A label is the row of one version of an item, so none is used twice and nothing
is updated in place. Room is taken before rows come. More neighbours than there are live rows are
never asked for. The width of the search, which hnswlib does not keep, is set after loading; and a
file that came out short, which hnswlib does not report, is an error.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import hnswlib
import numpy as np
from longtail.server.catalogue.index.generation import Generation, Target
from longtail.server.catalogue.index.graph import (
    SPACE,
    Graph,
    GraphError,
    IndexParameters,
    KeptSearches,
    Matrix,
    Result,
    Rows,
)
from longtail.server.process.durable import flush, sha256_of

GRAPH_FILE = "graph.hnsw"


class HnswGraph:
    """Nearest neighbours by inner product of unit vectors, under rows as labels."""

    def __init__(self, parameters: IndexParameters, capacity: int) -> None:
        self.parameters = parameters
        self._removed = 0
        self._kept = KeptSearches()
        self._graph = hnswlib.Index(space=SPACE, dim=parameters.dimension)
        self._graph.init_index(
            max_elements=max(1, capacity),
            M=parameters.links,
            ef_construction=parameters.ef_construction,
        )
        self._graph.set_ef(parameters.ef_search)

    @classmethod
    def load(
        cls, parameters: IndexParameters, file: Path, capacity: int, removed: int
    ) -> "HnswGraph":
        """Return the graph in `file`, with room for `capacity` rows; `removed` are those it lost.

        The caller vouches for the file: hnswlib takes a damaged one, or another one's, without a
        word.
        """
        graph = cls.__new__(cls)
        graph.parameters = parameters
        graph._removed = removed
        graph._kept = KeptSearches()
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

    @property
    def is_lost(self) -> bool:
        """Never: it is in memory."""
        return False

    def add(self, rows: Rows, vectors: Matrix) -> None:
        """Add unit `vectors` (n, d) as new `rows` (n,), on this thread alone."""
        self._graph.add_items(vectors, rows.astype(np.uint64), num_threads=1)
        self._kept = KeptSearches()

    def remove(self, row: int) -> None:
        """Make a row unfindable that is not yet."""
        self._graph.mark_deleted(row)
        self._removed += 1
        self._kept = KeptSearches()

    def search(self, vectors: Matrix, k: int) -> list[Result]:
        """Return the `k` rows nearest to each of `vectors` (n, d), and their cosines.

        From the nearest on; all rows when fewer are live. The arrays are not to be written to.
        Raises GraphError when the links do not lead to so many, as among many equal vectors.
        """
        k = min(k, self.live_count)
        if k == 0:
            return [(np.empty(0, np.int64), np.empty(0))] * len(vectors)
        return self._kept.search(vectors, k, self._search)

    def _search(self, vectors: Matrix, k: int) -> list[Result]:
        try:
            rows, distances = self._graph.knn_query(vectors, k, num_threads=1)
        except RuntimeError as error:
            raise GraphError(f"fewer than {k} rows were found") from error
        rows, cosines = rows.astype(np.int64), 1 - distances.astype(np.float64)
        return list(zip(rows, cosines, strict=True))

    def save(self, file: Path) -> None:
        """Write the graph and bring it to the disk; raise OSError when it does not fit."""
        self._graph.save_index(str(file))
        flush(file)
        written, expected = file.stat().st_size, int(self._graph.index_file_size())
        if written != expected:
            raise OSError(f"{file}: {written} of {expected} bytes were written")


@dataclass(frozen=True)
class _Draft:
    built: HnswGraph

    def add(self, rows: Rows, _revisions: Rows, vectors: Matrix) -> None:
        self.built.add(rows, vectors)

    def remove(self, row: int) -> bool:
        self.built.remove(row)
        return True

    def finish(self, folder: Path, _waiting: Callable[[], None]) -> Mapping[str, str]:
        self.built.save(folder / GRAPH_FILE)
        return {GRAPH_FILE: sha256_of(folder / GRAPH_FILE)}


class HnswGraphs:
    """Graphs in memory, each a file of its generation: see generation.Graphs."""

    kind = None

    def can_extend(self, _generation: Generation) -> bool:
        """Say that any can: it is loaded with more room."""
        return True

    def draft(
        self, target: Target, _number: int, previous: Generation | None, fresh: int
    ) -> _Draft:
        """Return a copy of the graph of `previous`, or an empty one, with room for `fresh` rows."""
        if previous is None:
            return _Draft(HnswGraph(target.parameters, fresh))
        return _Draft(self._loaded(previous, fresh))

    def open(self, generation: Generation) -> Graph:
        """Return the graph of `generation`. The file was checked before."""
        return self._loaded(generation, 0)

    def verify(self, generation: Generation) -> None:
        """Raise DamagedFileError when the file is not what was written."""
        generation.verify_file(GRAPH_FILE)

    def prune(self, _folder: Path) -> None:
        """Do nothing: a graph goes with the folder of its generation."""

    def _loaded(self, generation: Generation, fresh: int) -> HnswGraph:
        return HnswGraph.load(
            generation.parameters,
            generation.folder / GRAPH_FILE,
            len(generation.table) + fresh,
            int(generation.table["removed"].sum()),
        )
