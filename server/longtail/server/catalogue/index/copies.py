"""Which rows have the same vector.

Copies are kept apart from the search: many equal vectors would be linked to each other alone in a
graph and cut others off, and each would come with a cosine of its own, by a rounding error.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from longtail.server.catalogue.array_file import Arrays, Named, write_arrays
from longtail.server.catalogue.columns.growing import GrowingArray
from longtail.server.catalogue.index.generation import ROW, RowTable
from longtail.server.catalogue.index.graph import Rows, Vector
from longtail.server.catalogue.index.vector_file import Matrix
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Keys = NDArray[np.uint64]

FILE = "copies.arrays"


def digest_of(vector: Vector) -> bytes:
    """Return what stands for a vector (d,), 16 bytes."""
    return hashlib.blake2b(vector.tobytes(), digest_size=16).digest()


def key_of(digest: bytes) -> int:
    """Return the part of a digest that is kept in the table of a generation."""
    return int.from_bytes(digest[:8], "little")


def keyed(table: RowTable) -> tuple[Rows, Keys]:
    """Return the rows that stand in the graph for their vectors (n,), by their keys (n,)."""
    own = table["representative"] == np.arange(len(table))
    rows = np.flatnonzero(own & ~table["removed"])
    rows = rows[np.argsort(table["key"][rows])]
    return rows, table["key"][rows]


def copies_in(table: RowTable) -> Named:
    """Yield what is known of the copies among the rows of a generation, to be written."""
    # What has no vector is a copy of nothing.
    numbers, own = np.arange(len(table)), table["representative"]
    first: Rows = np.where(own < 0, numbers, own)
    rows = np.flatnonzero(first != numbers)
    shared = np.zeros(len(table), np.bool_)
    shared[rows] = shared[first[rows]] = True
    grouped = np.flatnonzero(shared)
    grouped = grouped[np.argsort(first[grouped], kind="stable")]
    rows, keys = keyed(table)
    yield "first", [first]
    yield "shared", [shared]
    yield "grouped", [grouped]
    yield "groups", [first[grouped]]
    yield "rows", [rows]
    yield "keys", [keys]


def keep_copies(folder: Path, table: RowTable) -> Sequence[str]:
    """Write what is known of the copies among the rows of a generation; return the file's name."""
    write_arrays(folder / FILE, copies_in(table))
    return (FILE,)


class FirstRows:
    """Finds the first row that has a vector: among the rows of a graph, and those after them."""

    def __init__(self, rows: Rows, keys: Keys, merged: Matrix) -> None:
        """Know the vectors in `merged` of `rows` (n,) by their ascending `keys` (n,)."""
        self._rows, self._keys = rows, keys
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

    def __init__(self, arrays: Arrays, merged: Matrix) -> None:
        """Know what `copies_in` has yielded of the rows of `merged`."""
        self._first: GrowingArray[np.int64] = arrays["first"]
        self._shared: GrowingArray[np.bool_] = arrays["shared"]
        # Rows of the graph whose vectors others have too, by the first that has it: both (m,).
        self._grouped: Rows = arrays["grouped"].values
        self._groups: Rows = arrays["groups"].values
        # And those after them, by the same.
        self._late: dict[int, list[int]] = {}
        self._first_rows = FirstRows(arrays["rows"].values, arrays["keys"].values, merged)

    @classmethod
    def none(cls, dimension: int) -> "Copies":
        """Return the copies among no rows."""
        arrays = {
            name: GrowingArray(np.concatenate(list(blocks)))
            for name, blocks in copies_in(np.empty(0, ROW))
        }
        return cls(arrays, np.empty((0, dimension), np.float32))

    def append(self, vectors: Matrix) -> None:
        """Take in `vectors` (n, d) of the next rows, zeros of those that have none."""
        count = self._first.count
        self._first.append(np.zeros(len(vectors), np.int64))
        self._shared.append(np.zeros(len(vectors), np.bool_))
        firsts, shared = self._first.values, self._shared.values
        for row, vector in enumerate(vectors, count):
            first = row
            if vector.any():
                first = self._first_rows.of(vector, digest_of(vector), row)
            firsts[row] = first
            if first != row:
                # Who sees that a vector is shared finds by whom.
                self._late.setdefault(first, []).append(row)
                shared[row] = shared[first] = True

    def first(self, rows: Rows) -> Rows:
        """Return for each of `rows` (n,) the first row that has its vector, (n,)."""
        first: Rows = self._first.values[rows]
        return first

    def are_shared(self, rows: Rows) -> Mask:
        """Return for each of `rows` (n,) whether another row has its vector too, (n,)."""
        shared: Mask = self._shared.values[rows]
        return shared

    def of(self, rows: Rows) -> tuple[Rows, Rows]:
        """Return all rows with the vectors of `rows` (n,), themselves included, and whose.

        Both (m,): the rows of each, ascending, after those of the one before, and its position.
        """
        firsts = self.first(rows)
        starts = self._groups.searchsorted(firsts).tolist()
        stops = self._groups.searchsorted(firsts, side="right").tolist()
        found: list[int] = []
        counts: list[int] = []
        for first, start, stop in zip(firsts.tolist(), starts, stops, strict=True):
            group: list[int] = self._grouped[start:stop].tolist() if start < stop else [first]
            group += self._late.get(first, [])
            found += group
            counts.append(len(group))
        return np.array(found, np.int64), np.arange(len(rows)).repeat(counts)

    def once(self, rows: Rows) -> Rows:
        """Return the positions in `rows` (n,) of the lowest row of each vector, ascending."""
        shared = self.are_shared(rows)
        # Most rows have a vector of their own.
        at = shared.nonzero()[0]
        kept = ~shared
        if len(at):
            at = at[rows[at].argsort(kind="stable")][::-1]
            # Of each vector the lowest row comes last.
            lowest = dict(zip(self.first(rows[at]).tolist(), at.tolist(), strict=True))
            kept[list(lowest.values())] = True
        return kept.nonzero()[0]
