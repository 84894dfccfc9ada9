"""A space of vectors beside the texts': those of the rows that have one, in an index of their own.

A row of the columns may have no vector in a space, so the index has row numbers of its own, and a
space leads from one to the other.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Protocol

import numpy as np
from longtail.server.catalogue.columns.columns import DIED_NEVER, NO_ROW, Columns
from longtail.server.catalogue.columns.growing import GrowingArray
from longtail.server.catalogue.index.generation import Generation
from longtail.server.catalogue.index.graph import Floats, IndexParameters, Rows, Vector
from longtail.server.catalogue.index.vector_file import Matrix
from longtail.server.catalogue.index.vector_index import Mask, VectorIndex
from longtail.server.catalogue.scope import Scope
from longtail.server.store.records import VectorSpace
from numpy.typing import NDArray

# The space of the head: no space of the caller has its name.
ADAPTED = "adapted"


class Head(Protocol):
    """A function of the texts' vectors, adapted to what people like; `version` tells it apart."""

    @property
    def version(self) -> str:
        """What no other head has."""

    def adapted(self, vectors: Matrix) -> Matrix:
        """Return unit vectors (n, d) for those of texts (n, d)."""


# How the index of a space of the caller's is built, and the generation of it that there is.
Indexed = Callable[[VectorSpace], tuple[IndexParameters, Generation | None]]


class Space:
    """The vectors of one kind, by rows of the columns. One thread changes it, any number read.

    `source`: the head that vectors are computed by, or as what a space of the caller's is declared.
    Every row that is told below is one of the columns.
    """

    def __init__(self, index: VectorIndex, source: Head | VectorSpace) -> None:
        self.index = index
        self.source = source
        # The row of the columns of each of the index, NO_ROW for one of no use, and the other way.
        self._row = GrowingArray.empty(np.int32)
        self._own = GrowingArray.empty(np.int32)
        self._live = 0

    @classmethod
    def over(
        cls, index: VectorIndex, rows: Rows, columns: Columns, source: Head | VectorSpace
    ) -> "Space":
        """Return the space of an index whose rows are those in `rows` (n,), NO_ROW among them."""
        space = cls(index, source)
        space._row = GrowingArray(rows.astype(np.int32))
        own = np.full(columns.count, NO_ROW, np.int32)
        held = np.flatnonzero(rows >= 0)
        own[rows[held]] = held
        space._own = GrowingArray(own)
        space._live = int((columns.died[rows[held]] == DIED_NEVER).sum())
        return space

    def moved(self, rows: Rows, columns: Columns) -> "Space":
        """Return the same space for `columns`, which have taken `rows` (n,) of its own ones.

        Only one of the two may be changed from then on.
        """
        taken = np.full(len(self._row.values), NO_ROW)
        own = self._own_rows(rows)
        held = np.flatnonzero(own >= 0)
        taken[own[held]] = held
        return Space.over(self.index, taken, columns, self.source)

    @property
    def declared(self) -> VectorSpace | None:
        """As what a space of the caller's is declared; None for that of a head."""
        return self.source if isinstance(self.source, VectorSpace) else None

    @property
    def head(self) -> Head | None:
        """What vectors are computed by; None for those that are given."""
        return None if isinstance(self.source, VectorSpace) else self.source

    @property
    def name(self) -> str:
        """What no other space of the catalogue is called."""
        return self.source.name if isinstance(self.source, VectorSpace) else ADAPTED

    @property
    def live_count(self) -> int:
        """Current rows that have a vector."""
        return self._live

    @property
    def dimension(self) -> int:
        """Numbers of a vector."""
        return self.index.parameters.dimension

    def append(self, rows: Rows, vectors: Matrix) -> None:
        """Give `rows` (n,), current ones that have none, unit `vectors` (n, d)."""
        first, missing = len(self._row.values), int(rows.max()) + 1 - len(self._own.values)
        # Who comes upon a row of the index finds that of the columns, and the other way round.
        self.index.append(vectors)
        self._row.append(rows.astype(np.int32))
        self._own.append(np.full(max(0, missing), NO_ROW, np.int32))
        self._own.values[rows] = np.arange(first, first + len(rows))
        self._live += len(rows)

    def forget(self, row: int) -> None:
        """Take in that a row is no longer current."""
        own = self._own.values
        if row < len(own) and own[row] >= 0:
            self._live -= 1

    def has(self, rows: Rows) -> Mask:
        """Return which of `rows` (n,), NO_ROW among them, have a vector, (n,)."""
        having: Mask = self._own_rows(rows) >= 0
        return having

    def vectors(self, rows: Rows) -> Matrix:
        """Return the vectors (n, d) of `rows` (n,), zeros where there is none, as for NO_ROW."""
        own = self._own_rows(rows)
        having = own >= 0
        if having.all():
            return self.index.vectors(own)
        found = np.zeros((len(rows), self.dimension), np.float32)
        found[having] = self.index.vectors(own[having])
        return found

    def search(
        self, vector: Vector, k: int, scope: Scope, *, once: bool = False
    ) -> tuple[Rows, Floats]:
        """Return the `k` nearest rows in `scope`: see VectorIndex.search."""
        [found] = self.search_each(vector[np.newaxis], k, scope, once=once)
        return found

    def search_each(
        self, vectors: Matrix, k: int, scope: Scope, *, once: bool = False
    ) -> list[tuple[Rows, Floats]]:
        """Return what `search` does for each of `vectors` (n, d), in less time."""
        within = self.within(scope)
        found = self.index.search_each(vectors, k, within, once=once)
        return [(within.row[own].astype(np.int64), cosines) for own, cosines in found]

    def within(self, scope: Scope) -> "SpaceScope":
        """Return what a request may find, in rows of the index."""
        return SpaceScope(scope, self._row.values, self._live)

    def dead_share(self) -> float:
        """Return the share of the graph's rows that are no longer current."""
        rows, delta = self.index.graph_rows, self.index.delta_rows
        return 1 - max(0, self._live - delta) / rows if rows else 0.0

    def _own_rows(self, rows: Rows) -> Rows:
        own = self._own.values
        inside = (rows >= 0) & (rows < len(own))
        if inside.all():
            return own[rows].astype(np.int64)
        found = np.full(len(rows), NO_ROW)
        found[inside] = own[rows[inside]]
        return found


class SpaceScope:
    """What one request may find, in rows of a space's index: see vector_index.Scope.

    `row` (n,): of the columns, of each row of the index.
    """

    def __init__(self, scope: Scope, row: NDArray[np.int32], live: int) -> None:
        self._scope = scope
        self.row = row
        self._live = live

    @property
    def rows(self) -> int:
        """Rows that there are."""
        return len(self.row)

    @property
    def share(self) -> float:
        """About the share of the rows that may be found, above 0."""
        found = self._live if self._scope.filter is None else int(self._mask.sum())
        return min(1.0, max(1, found) / max(1, self.rows))

    def mask(self) -> Mask:
        """Return for each row (rows,) whether it may be found."""
        return self._mask

    def passes(self, rows: Rows) -> Mask:
        """Return for each of `rows` (n,) whether it may be found."""
        found: Mask = rows < self.rows
        of_columns = self.row[rows[found]].astype(np.int64)
        held = of_columns >= 0
        held[held] = self._scope.passes(of_columns[held])
        found[found] = held
        return found

    @cached_property
    def _mask(self) -> Mask:
        whole = self._scope.mask()
        # What was written since the request began has a row that the scope does not know.
        known = (self.row >= 0) & (self.row < len(whole))
        known[known] = whole[self.row[known]]
        return known
