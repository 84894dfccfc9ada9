"""From one generation of the index to the next, or from nothing to the first.

The next generation is a function of the one before and of the versions that are current: what it
has and is no longer current is removed from the graph, what it lacks is added. Equal vectors stand
in the graph once: many of them would be linked to each other alone and cut others off.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from longtail.server.catalogue.index.copies import FirstRows, digest_of, keep_copies, key_of, keyed
from longtail.server.catalogue.index.generation import (
    NO_VECTOR,
    ROW,
    Draft,
    Generation,
    Keep,
    RowTable,
    Target,
    latest_number,
    write_generation,
)
from longtail.server.catalogue.index.graph import Rows
from longtail.server.catalogue.index.vector_file import Matrix, VectorFile

# Added between two looks at whether to stop.
BLOCK_ROWS = 256


class Stopped(Exception):
    """The build was told to stop before its end."""


@dataclass(frozen=True)
class Source:
    """The current versions: their `revisions` (n,), ascending, and their vectors by position.

    Those of versions that have none are zeros. `keep` writes what else is kept of them.
    """

    revisions: Rows
    vectors: Callable[[Rows], Matrix]
    keep: Keep = lambda _folder, _revisions: ()


Progress = Callable[[int, int], None]


def build(
    target: Target, source: Source, previous: Generation | None, progress: Progress
) -> Generation:
    """Write the next generation after `previous`, which was verified, and return it.

    `progress` is called with the rows added and to be added, after each block; what it raises, such
    as Stopped, ends the build. Raises OSError when the disk takes no more, EngineError when the
    engine that keeps the graph fails, DamagedFileError when the files of `previous` are no longer
    what was written.
    """
    target.folder.mkdir(parents=True, exist_ok=True)
    if previous is not None and not target.graphs.can_extend(previous):
        previous = None
    known = np.empty(0, ROW) if previous is None else previous.table
    fresh = np.flatnonzero(~np.isin(source.revisions, known["revision"], assume_unique=True))
    table = np.concatenate([known, np.empty(len(fresh), ROW)])
    table["revision"][len(known) :] = source.revisions[fresh]
    table["representative"][len(known) :] = np.arange(len(known), len(table))
    table["removed"][len(known) :] = False
    number = latest_number(target.folder) + 1
    draft = target.graphs.draft(target, number, previous, len(fresh))
    none = np.empty((0, target.parameters.dimension), np.float32)
    seen = FirstRows(*keyed(known), none if previous is None else previous.vectors.mapped())
    for start in range(0, len(fresh), BLOCK_ROWS):
        positions = fresh[start : start + BLOCK_ROWS]
        rows = np.arange(len(known) + start, len(known) + start + len(positions))
        _add(draft, table, rows, source.vectors(positions), seen)
        progress(start + len(positions), len(fresh))
    _remove_dead(draft, table, source.revisions)
    former = (
        VectorFile.create(target.folder, target.parameters.dimension)
        if previous is None
        else previous.vectors
    )
    vectors = former.extended(
        source.vectors(fresh[start : start + BLOCK_ROWS])
        for start in range(0, len(fresh), BLOCK_ROWS)
    )
    try:
        return write_generation(
            target,
            number,
            draft,
            table,
            vectors,
            lambda: progress(len(fresh), len(fresh)),
            lambda folder, revisions: (
                *keep_copies(folder, table),
                *source.keep(folder, revisions),
            ),
        )
    except BaseException:
        # A disk that is full needs the room.
        vectors.retract(former)
        raise


def _add(draft: Draft, table: RowTable, rows: Rows, vectors: Matrix, seen: FirstRows) -> None:
    new = []
    for position, (row, vector) in enumerate(zip(rows.tolist(), vectors, strict=True)):
        if not vector.any():
            table["representative"][row], table["key"][row] = NO_VECTOR, 0
            continue
        digest = digest_of(vector)
        representative = seen.of(vector, digest, row)
        if representative == row:
            new.append(position)
        table["representative"][row] = representative
        table["key"][row] = key_of(digest)
    if new:
        draft.add(rows[new], table["revision"][rows[new]], vectors[new])


def _remove_dead(draft: Draft, table: RowTable, current: Rows) -> None:
    """Remove from the graph what stands for no current row any more."""
    alive = np.isin(table["revision"], current, assume_unique=True)
    own = table["representative"] == np.arange(len(table))
    needed = np.zeros(len(table), np.bool_)
    standing = table["representative"][alive]
    needed[standing[standing >= 0]] = True
    for row in np.flatnonzero(own & ~needed & ~table["removed"]).tolist():
        table["removed"][row] = draft.remove(row)
