"""From one generation of the index to the next, or from nothing to the first.

The next generation is a function of the one before and of the versions that are current: what it
has and is no longer current is removed from the graph, what it lacks is added. Equal vectors stand
in the graph once: many of them would be linked to each other alone and cut others off.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from longtail.server.catalogue.index.generation import (
    ROW,
    Generation,
    RowTable,
    latest_number,
    write_generation,
)
from longtail.server.catalogue.index.graph import Graph, IndexParameters, Rows, Vector
from longtail.server.catalogue.index.vector_file import Matrix, VectorFile

# Added between two looks at whether to stop.
BLOCK_ROWS = 256


class Stopped(Exception):
    """The build was told to stop before its end."""


@dataclass(frozen=True)
class Source:
    """The current versions: their `revisions` (n,), ascending, and their vectors by position."""

    revisions: Rows
    vectors: Callable[[Rows], Matrix]


@dataclass(frozen=True)
class Target:
    """Where generations go, and what they are built for."""

    folder: Path
    built_for: str
    parameters: IndexParameters


Progress = Callable[[int, int], None]


def build(
    target: Target, source: Source, previous: Generation | None, progress: Progress
) -> Generation:
    """Write the next generation after `previous`, which was verified, and return it.

    `progress` is called with the rows added and to be added, after each block; what it raises, such
    as Stopped, ends the build. Raises OSError when the disk takes no more, DamagedFileError when
    the files of `previous` are no longer what was written.
    """
    target.folder.mkdir(parents=True, exist_ok=True)
    known = np.empty(0, ROW) if previous is None else previous.table
    fresh = np.flatnonzero(~np.isin(source.revisions, known["revision"], assume_unique=True))
    table = np.concatenate([known, np.empty(len(fresh), ROW)])
    table["revision"][len(known) :] = source.revisions[fresh]
    table["representative"][len(known) :] = np.arange(len(known), len(table))
    table["removed"][len(known) :] = False
    graph = (
        Graph(target.parameters, len(table))
        if previous is None
        else previous.load_graph(len(fresh))
    )
    seen = _Seen(known, None if previous is None else previous.vectors.mapped())
    for start in range(0, len(fresh), BLOCK_ROWS):
        positions = fresh[start : start + BLOCK_ROWS]
        rows = np.arange(len(known) + start, len(known) + start + len(positions))
        _add(graph, table, rows, source.vectors(positions), seen)
        progress(start + len(positions), len(fresh))
    _remove_dead(graph, table, source.revisions)
    former = (
        VectorFile.create(target.folder, target.parameters.dimension)
        if previous is None
        else previous.vectors
    )
    vectors = former.extended(
        source.vectors(fresh[start : start + BLOCK_ROWS])
        for start in range(0, len(fresh), BLOCK_ROWS)
    )
    number = latest_number(target.folder) + 1
    try:
        return write_generation(target.folder, number, target.built_for, graph, table, vectors)
    except OSError:
        # A disk that is full needs the room.
        vectors.retract(former)
        raise


class _Seen:
    """Which rows of the graph have which vector."""

    def __init__(self, known: RowTable, mapped: Matrix | None) -> None:
        own = known["representative"] == np.arange(len(known))
        rows = np.flatnonzero(own & ~known["removed"])
        self._rows = rows[np.argsort(known["key"][rows])]
        self._keys = known["key"][self._rows]
        self._mapped = mapped
        self._fresh: dict[bytes, int] = {}

    def first(self, vector: Vector, digest: bytes, row: int) -> int:
        """Return the row that has `vector` already; else `row`, which has it from now on."""
        key = _key(digest)
        if self._mapped is not None:
            at = int(np.searchsorted(self._keys, np.uint64(key)))
            # Different vectors may have one key.
            if at < len(self._keys) and int(self._keys[at]) == key:
                found = int(self._rows[at])
                if np.array_equal(self._mapped[found], vector):
                    return found
        return self._fresh.setdefault(digest, row)


def _add(graph: Graph, table: RowTable, rows: Rows, vectors: Matrix, seen: _Seen) -> None:
    new = []
    for position, (row, vector) in enumerate(zip(rows.tolist(), vectors, strict=True)):
        digest = hashlib.blake2b(vector.tobytes(), digest_size=16).digest()
        representative = seen.first(vector, digest, row)
        if representative == row:
            new.append(position)
        table["representative"][row] = representative
        table["key"][row] = _key(digest)
    if new:
        graph.add(rows[new], vectors[new])


def _key(digest: bytes) -> int:
    return int.from_bytes(digest[:8], "little")


def _remove_dead(graph: Graph, table: RowTable, current: Rows) -> None:
    """Remove from the graph what stands for no current row any more."""
    alive = np.isin(table["revision"], current, assume_unique=True)
    own = table["representative"] == np.arange(len(table))
    needed = np.zeros(len(table), np.bool_)
    needed[table["representative"][alive]] = True
    for row in np.flatnonzero(own & ~needed & ~table["removed"]).tolist():
        graph.remove(row)
        table["removed"][row] = True
