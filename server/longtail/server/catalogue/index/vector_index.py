"""Nearest rows among those that may be found: the graph, and what came after it, scanned.

Rows 0 to `graph_rows` stand in the graph, later ones in the delta. Nothing that a search can see
is ever changed: the graph and its vectors are replaced as a whole, and rows of the delta are
written before anybody counts them. So searches take no lock.

Where a row stands makes no difference to its place among what is found: cosines that differ by no
more than two ways of adding up are computed again, in one way, and rows come in the order in which
they were written where even that is equal.
"""

import logging
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from longtail.runtime.errors import Unavailable
from longtail.server.catalogue.array_file import read_arrays
from longtail.server.catalogue.columns.growing import GROWTH, GrowingArray
from longtail.server.catalogue.index.copies import FILE as COPIES_FILE
from longtail.server.catalogue.index.copies import Copies
from longtail.server.catalogue.index.generation import Generation
from longtail.server.catalogue.index.graph import (
    LARGEST_KEPT,
    Floats,
    Graph,
    GraphAway,
    GraphError,
    IndexParameters,
    KeptSearches,
    Result,
    Rows,
    Vector,
)
from longtail.server.catalogue.index.plan import (
    FILTERED_SHARE,
    SCANNED_ROWS,
    are_enough,
    fetch_size,
    scan_is_cheaper,
)
from longtail.server.catalogue.index.vector_file import Matrix
from longtail.server.catalogue.kept_results import KeptResults
from longtail.server.ranking.duplicates import leaders
from numpy.typing import NDArray

logger = logging.getLogger(__name__)

Mask = NDArray[np.bool_]

FIRST_ROWS = 1024
# Gathered at a time when rows are scanned: what fits into a core's cache.
SCAN_ROWS = 1024
# The graph and the two ways of scanning are closer to each other than this: they differ by 1e-7 at
# most at 384 numbers, and by its double at a thousand.
ROUNDING = 5e-7
# Fetched from the graph for what is as near as the last one wanted, and for the few that may not be
# found: within the width of the search they cost nothing, and to search again costs four times it.
SPARE = 16
# Lists of rows for which it is kept which are the same: 17 MB.
KEPT_LEADERS = 2048
# Rows so dense are multiplied where they lie, the others gathered first.
DENSE_SHARE = 0.5


class Scope(Protocol):
    """Which rows one request may find. Rows from `rows` on came after it."""

    @property
    def rows(self) -> int:
        """Rows that there are."""

    @property
    def share(self) -> float:
        """About the share of the rows that may be found, above 0."""

    def mask(self) -> Mask:
        """Return for each row (rows,) whether it may be found."""

    def passes(self, rows: Rows) -> Mask:
        """Return for each of `rows` (n,) whether it may be found."""


@dataclass(frozen=True)
class _Layers:
    """The graph over the first `len(merged)` rows, and the `delta` of those that follow."""

    graph: Graph | None
    merged: Matrix
    delta: Matrix


class VectorIndex:
    """Vectors by row, and the search for the nearest. One thread appends, any number search.

    A row may have none: its vector is all zeros, it is never found and is a copy of nothing.
    """

    def __init__(self, parameters: IndexParameters, room: int = FIRST_ROWS) -> None:
        self.parameters = parameters
        self._count = 0
        # Which rows have no vector, as far as there is any such row, and how many there are.
        self._blank = GrowingArray.empty(np.bool_)
        self._blank_count = 0
        merged = np.empty((0, parameters.dimension), np.float32)
        self.copies = Copies.none(parameters.dimension)
        delta = np.empty((max(1, room), parameters.dimension), np.float32)
        self._layers = _Layers(None, merged, delta)
        # What was searched for by scanning, of how many rows, and of which rows some are the same.
        self._scans = 0, KeptSearches()
        self._leaders = KeptResults[bytes, Rows](KEPT_LEADERS)

    @classmethod
    def of(cls, generation: Generation, room: int = FIRST_ROWS) -> "VectorIndex":
        """Return the index that `generation` holds, with `room` for a delta."""
        index = cls(generation.parameters, room)
        merged = generation.vectors.mapped()
        index.copies = Copies(read_arrays(generation.folder / COPIES_FILE), merged)
        index._blank_rows(generation.table["representative"] < 0)
        index._count = len(generation.table)
        index._layers = _Layers(generation.graph(), merged, index._layers.delta)
        return index

    @property
    def graph_rows(self) -> int:
        """Rows that stand in the graph."""
        return len(self._layers.merged)

    @property
    def delta_rows(self) -> int:
        """Rows that are scanned."""
        return self._count - self.graph_rows

    @property
    def nbytes(self) -> int:
        """About the memory that the graph and the delta take, without what is mapped."""
        layers = self._layers
        return layers.delta.nbytes + (layers.graph.nbytes if layers.graph is not None else 0)

    @property
    def is_lost(self) -> bool:
        """Whether the graph is gone and has to be built anew."""
        graph = self._layers.graph
        return graph is not None and graph.is_lost

    def append(self, vectors: Matrix) -> None:
        """Add unit `vectors` (n, d) as the next rows."""
        layers = self._layers
        start = self._count - len(layers.merged)
        end = start + len(vectors)
        delta = layers.delta
        if end > len(delta):
            delta = np.empty((max(end, int(GROWTH * len(delta))), delta.shape[1]), np.float32)
            delta[:start] = layers.delta[:start]
            self._layers = replace(layers, delta=delta)
        delta[start:end] = vectors
        self.copies.append(vectors)
        self._blank_rows(np.logical_not(vectors.any(axis=1)))
        self._count += len(vectors)

    def are_blank(self, rows: Rows) -> Mask | None:
        """Return which of `rows` (n,) have no vector, (n,); None where every row has one."""
        if not self._blank_count:
            return None
        blank = self._blank.values
        found = np.zeros(len(rows), np.bool_)
        known = rows < len(blank)
        found[known] = blank[rows[known]]
        return found

    def vectors(self, rows: Rows, numbers: int | None = None) -> Matrix:
        """Return the unit vectors (n, d) of `rows` (n,), or the first `numbers` of each, (n, m)."""
        layers = self._layers
        base = len(layers.merged)
        merged, delta = layers.merged[:, :numbers], layers.delta[:, :numbers]
        late = rows >= base
        if not late.any():
            return merged[rows]
        if late.all():
            return delta[rows - base]
        found = np.empty((len(rows), delta.shape[1]), np.float32)
        found[~late] = merged[rows[~late]]
        found[late] = delta[rows[late] - base]
        return found

    def leaders(self, rows: Rows, vectors: Matrix) -> Rows:
        """Return which of `rows` (n,), with their `vectors` (n, d), are the same: see `leaders`."""
        if len(rows) > LARGEST_KEPT:
            return leaders(vectors)
        [found] = self._leaders.found([rows.tobytes()], lambda _: [leaders(vectors)])
        return found

    def search(self, vector: Vector, k: int, scope: Scope, *, once: bool = False) -> Result:
        """Return the `k` nearest rows in `scope`, fewer when there are fewer, and their cosines.

        From the nearest on, the earlier row first among equals. `once`: of rows with one vector
        the earliest stands for all.
        """
        [found] = self.search_each(vector[np.newaxis], k, scope, once=once)
        return found

    def search_each(
        self, vectors: Matrix, k: int, scope: Scope, *, once: bool = False
    ) -> list[Result]:
        """Return what `search` does for each of `vectors` (n, d), in less time.

        Raises Unavailable when the graph is in an engine that is away, and too many rows match to
        be compared instead.
        """
        layers = self._layers
        base = min(len(layers.merged), scope.rows)
        found = self._search_graph(layers, vectors, k, scope, base, once=once)
        if found is None:
            return self._scan_each(layers, vectors, k, scope, once=once)
        late = np.arange(base, scope.rows)
        late = self._having(late[scope.passes(late)])
        if once:
            late = late[self.copies.once(late)]
        apart = once and len(late) > 0
        if len(late):
            found = [
                (np.concatenate((rows, late)), np.concatenate((cosines, of_late)))
                for (rows, cosines), of_late in zip(
                    found, self._cosines(layers, late, vectors), strict=True
                )
            ]
        return [
            self._nearest(vector, *each, k, once=apart)
            for vector, each in zip(vectors, found, strict=True)
        ]

    def scan(self, vector: Vector, k: int, scope: Scope) -> Result:
        """Return what `search` does, found by comparing with every row."""
        rows = self._having(np.flatnonzero(scope.mask()))
        [found] = self._scanned(self._layers, vector[np.newaxis], k, rows)
        return found

    def _search_graph(
        self, layers: _Layers, vectors: Matrix, k: int, scope: Scope, base: int, *, once: bool
    ) -> list[Result] | None:
        """Return for each of `vectors` at least the `k` nearest of the first `base` rows.

        Fewer where there are fewer; None where all are to be scanned.
        """
        graph = layers.graph
        if graph is None or base == 0:
            return None
        # About: it is not known how many of those without a vector may be found.
        having = base - min(self._blank_count, base)
        matching = max(1, round(scope.share * having))
        fetch = fetch_size(k + SPARE, matching, graph.live_count, self.parameters.ef_search)
        while not scan_is_cheaper(matching, fetch, self.parameters.ef_search):
            try:
                searched = graph.search(vectors, fetch)
            except GraphAway as error:
                if matching > SCANNED_ROWS:
                    raise Unavailable(
                        "the index engine is away, and there is too much to be compared without it"
                    ) from error
                break
            except GraphError as error:
                logger.warning("the graph is not connected, scanning reason=%s", error)
                break
            found = []
            for rows, cosines in searched:
                rows, cosines = self._seen(rows, cosines, scope, base, once=once)
                enough = are_enough(len(rows), k, matching, graph.live_count)
                if not enough and fetch < graph.live_count:
                    break
                found.append((rows, cosines))
            else:
                return found
            fetch = min(4 * fetch, graph.live_count)
        return None

    def _scan_each(
        self, layers: _Layers, vectors: Matrix, k: int, scope: Scope, *, once: bool
    ) -> list[Result]:
        """Return what `search_each` does, found by comparing with every row, or known from it."""
        wanted, found, end = k + SPARE, list[Result](), 0
        if scope.share >= FILTERED_SHARE:

            def scan(new: Matrix, k: int) -> list[Result]:
                return self._scanned(layers, new, k, self._having(np.arange(scope.rows)))

            known = self._known(scope.rows).search(vectors, wanted, scan)
            together = np.concatenate([rows for rows, _ in known])
            passing = scope.passes(together)
            shared = once and self.copies.are_shared(together).any()
            for rows, cosines in known:
                start, end = end, end + len(rows)
                at = passing[start:end].nonzero()[0]
                if shared:
                    at = at[self.copies.once(rows[at])]
                if len(at) < k and len(rows) == wanted:
                    break
                found.append((rows[at[:k]], cosines[at[:k]]))
            else:
                return found
        rows = self._having(np.flatnonzero(scope.mask()))
        if once:
            rows = rows[self.copies.once(rows)]
        return self._scanned(layers, vectors, k, rows)

    def _known(self, rows: int) -> KeptSearches:
        """Return what the first `rows` were searched for, which never change."""
        of_rows, known = self._scans
        if of_rows != rows:
            known = KeptSearches()
            self._scans = rows, known
        return known

    def _scanned(self, layers: _Layers, vectors: Matrix, k: int, rows: Rows) -> list[Result]:
        """Return for each of `vectors` the `k` nearest of the ascending `rows` (n,), in order."""
        return [
            self._nearest(vector, rows, cosines, k)
            for vector, cosines in zip(vectors, self._cosines(layers, rows, vectors), strict=True)
        ]

    def _cosines(self, layers: _Layers, rows: Rows, vectors: Matrix) -> Floats:
        """Return the cosines (v, n) of the ascending `rows` (n,) with `vectors` (v, d)."""
        base = int(rows.searchsorted(len(layers.merged)))
        of_merged = _cosines(layers.merged, rows[:base], vectors)
        of_delta = _cosines(layers.delta, rows[base:] - len(layers.merged), vectors)
        return np.concatenate((of_merged, of_delta), axis=1)

    def _having(self, rows: Rows) -> Rows:
        """Return those of `rows` (n,) that have a vector."""
        blank = self.are_blank(rows)
        return rows if blank is None else rows[~blank]

    def _blank_rows(self, blank: Mask) -> None:
        """Take in which of the next rows (n,) have no vector."""
        if not self._blank_count and not blank.any():
            return
        before = self._count - len(self._blank.values)
        self._blank.append(np.concatenate((np.zeros(before, np.bool_), blank)))
        self._blank_count += int(blank.sum())

    def _seen(self, rows: Rows, cosines: Floats, scope: Scope, base: int, *, once: bool) -> Result:
        """Return what may be found of the first `base` rows with the vectors of `rows` (n,).

        `rows` are of the graph, where one row stands for its copies; each has its cosine.
        """
        own = scope.passes(rows)
        shared = self.copies.are_shared(rows)
        if not shared.any():
            return rows[own], cosines[own]
        own &= ~shared
        copies, owners = self.copies.of(rows[shared])
        seen = (scope.passes(copies) & (copies < base)).nonzero()[0]
        if once and len(seen):
            # They are ascending: the first of each.
            owner = owners[seen]
            seen = np.concatenate((seen[:1], seen[1:][owner[1:] != owner[:-1]]))
        return (
            np.concatenate((rows[own], copies[seen])),
            np.concatenate((cosines[own], cosines[shared][owners[seen]])),
        )

    def _nearest(
        self, vector: Vector, rows: Rows, cosines: Floats, k: int, *, once: bool = False
    ) -> Result:
        """Return the `k` nearest of `rows`, in the order in which `search` returns them.

        `once`: of rows with one vector, of the graph and of the delta, only the earliest.
        """
        if once:
            at = self.copies.once(rows)
            rows, cosines = rows[at], cosines[at]
        if len(rows) > k:
            # Only what may be as near as the last of them is put in order.
            among = (cosines >= np.partition(cosines, -k)[-k] - ROUNDING).nonzero()[0]
            rows, cosines = rows[among], cosines[among]
        order = np.lexsort((rows, -cosines))
        rows, cosines = rows[order], cosines[order]
        close = cosines[:-1] - cosines[1:] <= ROUNDING
        if close.any():
            tied = np.zeros(len(rows), np.bool_)
            tied[1:] = close
            tied[:-1] |= close
            cosines[tied] = self._exact(rows[tied], vector)
            order = np.lexsort((rows, -cosines))
            rows, cosines = rows[order], cosines[order]
        return rows[:k], cosines[:k]

    def _exact(self, rows: Rows, vector: Vector) -> Floats:
        """Return the cosines (n,) of `rows` (n,): equal for equal vectors, wherever they stand."""
        firsts = self.copies.first(rows)
        cosines = np.empty(len(firsts))
        for start in range(0, len(firsts), SCAN_ROWS):
            block = self.vectors(firsts[start : start + SCAN_ROWS]).astype(np.float64)
            # Added up row by row; a product of matrices adds up by the block that a row is in.
            cosines[start : start + SCAN_ROWS] = (block * vector).sum(axis=1)
        return cosines


def _cosines(matrix: Matrix, rows: Rows, vectors: Matrix) -> Floats:
    """Return the cosines (v, n) of the ascending `rows` (n,) of `matrix` with `vectors` (v, d)."""
    if not len(rows):
        return np.empty((len(vectors), 0))
    first, last = int(rows[0]), int(rows[-1]) + 1
    if len(rows) > DENSE_SHARE * (last - first):
        # One by one: for so few vectors a product of matrices takes twice the time.
        products = np.array([matrix[first:last] @ vector for vector in vectors], np.float64)
        return products if len(rows) == last - first else products[:, rows - first]
    blocks = (matrix[rows[start : start + SCAN_ROWS]] for start in range(0, len(rows), SCAN_ROWS))
    parts = [[block @ vector for vector in vectors] for block in blocks]
    return np.concatenate(parts, axis=1).astype(np.float64)
