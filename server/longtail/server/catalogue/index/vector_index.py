"""Nearest rows among those that may be found: the graph, and what came after it, scanned.

Rows 0 to `graph_rows` stand in the graph, later ones in the delta. Nothing that a search can see
is ever changed: the graph and its vectors are replaced as a whole, and rows of the delta are
written before anybody counts them. So searches take no lock.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from longtail.server.catalogue.index.generation import Generation, RowTable
from longtail.server.catalogue.index.graph import (
    Floats,
    Graph,
    GraphError,
    IndexParameters,
    Rows,
    Vector,
)
from longtail.server.catalogue.index.plan import are_enough, fetch_size, scan_is_cheaper
from longtail.server.catalogue.index.vector_file import Matrix
from numpy.typing import NDArray

logger = logging.getLogger(__name__)

Mask = NDArray[np.bool_]

FIRST_ROWS = 1024
GROWTH = 1.5
# Gathered at a time when rows are scanned: what fits into a core's cache.
SCAN_ROWS = 1024
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
    """The graph over the first `len(merged)` rows, and the `delta` of those that follow.

    `twins`: the rows that have the vector of an earlier row, by that row.
    """

    graph: Graph | None
    merged: Matrix
    twins: Mapping[int, Rows]
    twinned: Mask
    delta: Matrix


class VectorIndex:
    """Vectors by row, and the search for the nearest. One thread appends, any number search."""

    def __init__(self, parameters: IndexParameters, room: int = FIRST_ROWS) -> None:
        self.parameters = parameters
        self._count = 0
        self._layers = _Layers(
            None,
            np.empty((0, parameters.dimension), np.float32),
            {},
            np.empty(0, np.bool_),
            np.empty((max(1, room), parameters.dimension), np.float32),
        )

    @classmethod
    def of(cls, generation: Generation, room: int = FIRST_ROWS) -> "VectorIndex":
        """Return the index that `generation` holds, with `room` for a delta."""
        index = cls(generation.parameters, room)
        index._count = len(generation.table)
        twins = _twins(generation.table)
        twinned = np.zeros(index._count, np.bool_)
        twinned[list(twins)] = True
        index._layers = _Layers(
            generation.built or generation.load_graph(),
            generation.vectors.mapped(),
            twins,
            twinned,
            index._layers.delta,
        )
        return index

    @property
    def graph_rows(self) -> int:
        """Rows that stand in the graph."""
        return len(self._layers.merged)

    @property
    def delta_rows(self) -> int:
        """Rows that are scanned."""
        return self._count - self.graph_rows

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
        self._count += len(vectors)

    def vectors(self, rows: Rows) -> Matrix:
        """Return the unit vectors (n, d) of `rows` (n,)."""
        layers = self._layers
        base = len(layers.merged)
        late = rows >= base
        if not late.any():
            return np.asarray(layers.merged[rows])
        if late.all():
            return layers.delta[rows - base]
        found = np.empty((len(rows), layers.delta.shape[1]), np.float32)
        found[~late] = layers.merged[rows[~late]]
        found[late] = layers.delta[rows[late] - base]
        return found

    def search(self, vector: Vector, k: int, scope: Scope) -> tuple[Rows, Floats]:
        """Return the `k` nearest rows in `scope`, fewer when there are fewer, and their cosines.

        From the nearest on, the earlier row first among equals.
        """
        [found] = self.search_each(vector[np.newaxis], k, scope)
        return found

    def search_each(self, vectors: Matrix, k: int, scope: Scope) -> list[tuple[Rows, Floats]]:
        """Return what `search` does for each of `vectors` (n, d), in less time."""
        layers = self._layers
        base = min(len(layers.merged), scope.rows)
        found = self._search_graph(layers, vectors, k, scope, base)
        late = np.arange(base, scope.rows)
        late = late[scope.passes(late)]
        if len(late):
            delta = _cosines(layers.delta, late - len(layers.merged), vectors)
            found = [
                (np.concatenate((rows, late)), np.concatenate((cosines, of_late)))
                if len(rows)
                else (late, of_late)
                for (rows, cosines), of_late in zip(found, delta, strict=True)
            ]
        return [_nearest(rows, cosines, k) for rows, cosines in found]

    def scan(self, vector: Vector, k: int, scope: Scope) -> tuple[Rows, Floats]:
        """Return what `search` does, found by comparing with every row."""
        rows = np.flatnonzero(scope.mask())
        layers = self._layers
        base = int(np.searchsorted(rows, len(layers.merged)))
        cosines = np.concatenate(
            [
                _cosines(layers.merged, rows[:base], vector[None])[0],
                _cosines(layers.delta, rows[base:] - len(layers.merged), vector[None])[0],
            ]
        )
        return _nearest(rows, cosines, k)

    def _search_graph(
        self, layers: _Layers, vectors: Matrix, k: int, scope: Scope, base: int
    ) -> list[tuple[Rows, Floats]]:
        """Return for each of `vectors` at least the `k` nearest of the first `base` rows.

        Fewer where there are fewer.
        """
        graph = layers.graph
        if graph is None or base == 0:
            return [(np.empty(0, np.int64), np.empty(0))] * len(vectors)
        matching = max(1, round(scope.share * base))
        fetch = fetch_size(k, matching, graph.live_count, self.parameters.ef_search)
        while not scan_is_cheaper(matching, fetch, self.parameters.ef_search):
            try:
                searched = graph.search(vectors, fetch)
            except GraphError as error:
                logger.warning("the graph is not connected, scanning reason=%s", error)
                break
            found = []
            for rows, cosines in searched:
                rows, cosines = _with_twins(layers, rows, cosines)
                seen = scope.passes(rows)
                enough = are_enough(int(np.count_nonzero(seen)), k, matching, graph.live_count)
                if not enough and fetch < graph.live_count:
                    break
                found.append((rows[seen], cosines[seen]))
            else:
                return found
            fetch = min(4 * fetch, graph.live_count)
        rows = np.flatnonzero(scope.mask()[:base])
        return [(rows, cosines) for cosines in _cosines(layers.merged, rows, vectors)]


def _nearest(rows: Rows, cosines: Floats, k: int) -> tuple[Rows, Floats]:
    if len(rows) > k:
        # Only what is as near as the last of them is put in order.
        among = np.flatnonzero(cosines >= np.partition(cosines, -k)[-k])
        rows, cosines = rows[among], cosines[among]
    best = np.lexsort((rows, -cosines))[:k]
    return rows[best], cosines[best]


def _twins(table: RowTable) -> dict[int, Rows]:
    representatives = table["representative"]
    rows = np.flatnonzero(representatives != np.arange(len(table)))
    rows = rows[np.argsort(representatives[rows], kind="stable")]
    groups, starts = np.unique(representatives[rows], return_index=True)
    return dict(zip(groups.tolist(), np.split(rows, starts[1:]), strict=True)) if len(rows) else {}


def _with_twins(layers: _Layers, rows: Rows, cosines: Floats) -> tuple[Rows, Floats]:
    have = layers.twinned[rows]
    if not have.any():
        return rows, cosines
    added = [layers.twins[row] for row in rows[have].tolist()]
    sizes = [len(twins) for twins in added]
    return (
        np.concatenate([rows, *added]),
        np.concatenate([cosines, np.repeat(cosines[have], sizes)]),
    )


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
