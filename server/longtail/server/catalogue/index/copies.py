"""Which rows have the same vector.

Copies are kept apart from the search: many equal vectors would be linked to each other alone in a
graph and cut others off, and each would come with a cosine of its own, by a rounding error.
"""

import hashlib
from typing import TypeVar

import numpy as np
from longtail.server.catalogue.index.generation import RowTable
from longtail.server.catalogue.index.graph import Rows, Vector
from longtail.server.catalogue.index.vector_file import Matrix
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
ValueT = TypeVar("ValueT", np.int64, np.bool_)

GROWTH = 1.5


def digest_of(vector: Vector) -> bytes:
    """Return what stands for a vector (d,), 16 bytes."""
    return hashlib.blake2b(vector.tobytes(), digest_size=16).digest()


def key_of(digest: bytes) -> int:
    """Return the part of a digest that is kept in the table of a generation."""
    return int.from_bytes(digest[:8], "little")


class FirstRows:
    """Finds the first row that has a vector: among the rows of a graph, and those after them."""

    def __init__(self, table: RowTable, merged: Matrix) -> None:
        own = table["representative"] == np.arange(len(table))
        rows = np.flatnonzero(own & ~table["removed"])
        self._rows = rows[np.argsort(table["key"][rows])]
        self._keys = table["key"][self._rows]
        self._merged = merged
        self._fresh: dict[bytes, int] = {}

    def of(self, vector: Vector, digest: bytes, row: int) -> int:
        """Return the row that has `vector` already; else `row`, which has it from now on."""
        key = key_of(digest)
        at = int(np.searchsorted(self._keys, np.uint64(key)))
        # Different vectors may have one key.
        if at < len(self._keys) and int(self._keys[at]) == key:
            found = int(self._rows[at])
            if np.array_equal(self._merged[found], vector):
                return found
        return self._fresh.setdefault(digest, row)


class Copies:
    """Which rows have a vector in common. One thread appends, any number read.

    A reader may come upon rows that were appended after the ones that it knows of.
    """

    def __init__(self, table: RowTable, merged: Matrix) -> None:
        self._count = len(table)
        self._first_rows = FirstRows(table, merged)
        # What has no vector is a copy of nothing.
        numbers, own = np.arange(self._count), table["representative"]
        self._first: Rows = np.where(own < 0, numbers, own)
        self._shared = np.zeros(self._count, np.bool_)
        # By the first row that has a vector: all of the graph, and the others after it.
        self._merged: dict[int, Rows] = {}
        self._late: dict[int, list[int]] = {}
        rows = np.flatnonzero(self._first != numbers)
        if len(rows):
            self._shared[rows] = self._shared[self._first[rows]] = True
            rows = np.flatnonzero(self._shared)
            rows = rows[np.argsort(self._first[rows], kind="stable")]
            firsts, starts = np.unique(self._first[rows], return_index=True)
            groups = np.split(rows, starts[1:])
            self._merged = dict(zip(firsts.tolist(), groups, strict=True))

    def append(self, vectors: Matrix) -> None:
        """Take in `vectors` (n, d) of the next rows, zeros of those that have none."""
        end = self._count + len(vectors)
        if end > len(self._first):
            room = max(end, int(GROWTH * len(self._first)))
            self._first = _longer(self._first, room)
            self._shared = _longer(self._shared, room)
        for row, vector in enumerate(vectors, self._count):
            first = row
            if vector.any():
                first = self._first_rows.of(vector, digest_of(vector), row)
            self._first[row] = first
            if first != row:
                # Who sees that a vector is shared finds by whom.
                self._late.setdefault(first, []).append(row)
                self._shared[row] = self._shared[first] = True
        self._count = end

    def first(self, rows: Rows) -> Rows:
        """Return for each of `rows` (n,) the first row that has its vector, (n,)."""
        first: Rows = self._first[rows]
        return first

    def are_shared(self, rows: Rows) -> Mask:
        """Return for each of `rows` (n,) whether another row has its vector too, (n,)."""
        shared: Mask = self._shared[rows]
        return shared

    def of(self, rows: Rows) -> tuple[Rows, Rows]:
        """Return all rows with the vectors of `rows` (n,), themselves included, and whose.

        Both (m,): the rows of each, ascending, after those of the one before, and its position.
        """
        groups = [self._group(first) for first in self.first(rows).tolist()]
        owners = np.repeat(np.arange(len(rows)), [len(group) for group in groups])
        return np.concatenate([np.empty(0, np.int64), *groups]), owners

    def _group(self, first: int) -> Rows:
        merged, late = self._merged.get(first), self._late.get(first)
        if merged is None:
            return np.array([first, *(late or ())], np.int64)
        return merged if late is None else np.concatenate((merged, np.array(late, np.int64)))

    def once(self, rows: Rows) -> Rows:
        """Return the positions in `rows` (n,) of the lowest row of each vector, ascending."""
        shared = self.are_shared(rows)
        kept = ~shared
        if not kept.all():
            # Most rows have a vector of their own.
            at = np.flatnonzero(shared)
            at = at[np.argsort(rows[at], kind="stable")]
            _, lowest = np.unique(self.first(rows[at]), return_index=True)
            kept[at[lowest]] = True
        return np.flatnonzero(kept)


def _longer(values: NDArray[ValueT], room: int) -> NDArray[ValueT]:
    longer = np.zeros(room, values.dtype)
    longer[: len(values)] = values
    return longer
