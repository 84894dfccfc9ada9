"""A space of the caller's while a catalogue is loaded: what its generation lacks is read."""

from collections.abc import Callable, Sequence

import numpy as np
from longtail.server.catalogue.columns.columns import Columns
from longtail.server.catalogue.index.generation import Generation
from longtail.server.catalogue.index.graph import IndexParameters
from longtail.server.catalogue.index.vector_index import Mask, VectorIndex
from longtail.server.catalogue.spaces.space import Space
from longtail.server.store.changes import ChangeLog
from longtail.server.store.records import ItemChange, VectorSpace

# How the index of a space is built, and the generation of it that there is.
Indexed = Callable[[VectorSpace], tuple[IndexParameters, Generation | None]]


class LoadingSpace:
    """Takes the vectors of all items that are current, part by part."""

    def __init__(self, declared: VectorSpace, indexed: Indexed) -> None:
        parameters, generation = indexed(declared)
        self._declared = declared
        self._index = VectorIndex(parameters) if generation is None else VectorIndex.of(generation)
        held = np.empty(0, np.int64) if generation is None else generation.table["revision"]
        # By revision, in the order of the index: what it has, and what was read.
        self._held, self._late = held, list[int]()

    def take(self, changes: ChangeLog, part: Sequence[ItemChange]) -> Mask:
        """Read what is not held of `part` (n,); return which of it have a vector, (n,)."""
        revisions = np.fromiter((change.revision for change in part), np.int64, len(part))
        having: Mask = np.isin(revisions, self._held)
        late = np.flatnonzero(~having).tolist()
        vectors = changes.vectors_in(self._declared.id, [part[at].id for at in late])
        late = [at for at in late if part[at].id in vectors]
        if late:
            self._index.append(np.stack([vectors[part[at].id] for at in late]))
            self._late += [part[at].revision for at in late]
            having[late] = True
        return having

    def over(self, columns: Columns) -> Space:
        """Return the space, for `columns` that have all that was read."""
        revisions = np.concatenate((self._held, np.array(self._late, np.int64)))
        return Space.over(self._index, columns.rows_of(revisions), columns, self._declared)
