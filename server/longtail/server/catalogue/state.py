"""The catalogue in memory as one encoder sees it: columns and index, row by row, at a revision."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

import numpy as np
from longtail.server.catalogue.columns.columns import DIED_NEVER, NO_ROW, Columns
from longtail.server.catalogue.columns.expected import ExpectedColumn
from longtail.server.catalogue.columns.filter import Filter
from longtail.server.catalogue.columns.mask_cache import MaskCache
from longtail.server.catalogue.columns.popularity import ScaleKeeper
from longtail.server.catalogue.index.build import Source
from longtail.server.catalogue.index.generation import Generation
from longtail.server.catalogue.index.graph import IndexParameters, Rows
from longtail.server.catalogue.index.vector_index import VectorIndex
from longtail.server.catalogue.scope import Scope
from longtail.server.catalogue.spaces.space import ADAPTED, Head, Space
from longtail.server.catalogue.words.word_index import WordIndex
from longtail.server.catalogue.words.words_file import read_words, write_words
from longtail.server.store.changes import ChangeLog
from longtail.server.store.popularity_weights import PopularityWeights
from longtail.server.store.records import BoundEncoder, ItemChange
from numpy.typing import NDArray

# Items read from the store at a time.
LOAD_ROWS = 2000


class CatalogueState:
    """Columns, index and words of the same rows. One thread changes them, any number read.

    `revision` grows when all up to it is in place, so a reader that takes it first sees neither
    half of a change. `weights` are those of the types of interactions in popularity. `words`: None
    where items are found by their vectors alone. `spaces`: other vectors of the same rows, by name;
    another mapping takes its place when a space comes or goes, so take it once per request.
    """

    def __init__(
        self,
        encoder: BoundEncoder,
        columns: Columns,
        index: VectorIndex,
        revision: int,
        weights: PopularityWeights,
        words: WordIndex | None = None,
        expected: ExpectedColumn | None = None,
        spaces: Mapping[str, Space] | None = None,
    ) -> None:
        self.encoder = encoder
        self.columns = columns
        self.index = index
        self.words = words
        self.spaces = spaces or {}
        self.weights = weights
        self.popularity = ScaleKeeper(columns)
        self.expected = expected or ExpectedColumn(columns)
        self._masks = MaskCache(columns.attributes)
        # Items, by id, that have no vector of the encoder and cannot be found.
        self._lacking = set[str]()
        self.revision = revision

    @classmethod
    def load(
        cls,
        changes: ChangeLog,
        encoder: BoundEncoder,
        parameters: IndexParameters,
        generation: Generation | None,
        weights: PopularityWeights,
        *,
        words: bool = False,
    ) -> "CatalogueState":
        """Return the state of all items that have a vector of `encoder`.

        Those that `generation` has are not read again. The rest stands in the delta, to be scanned.
        `words`: whether items are to be found by their words too.
        """
        revision = changes.position().revision
        columns = Columns()
        kept = None
        if words and generation is not None:
            kept = read_words(generation.folder, len(generation.table))
        # Of all items, or of those behind what was kept.
        read = WordIndex(columns) if words else None
        index = VectorIndex(parameters) if generation is None else VectorIndex.of(generation)
        held = np.empty(0, np.int64) if generation is None else generation.table["revision"]
        present = changes.current()
        lacking: list[str] = []
        # Little by little: the memory of all of them at once would stay with the process.
        while part := list(islice(present, LOAD_ROWS)):
            revisions = np.fromiter((change.revision for change in part), np.int64, len(part))
            late = [part[at] for at in np.flatnonzero(~np.isin(revisions, held))]
            vectors = changes.vectors(encoder.id, [change.id for change in late])
            if vectors:
                index.append(np.stack([vectors[ch.id] for ch in late if ch.id in vectors]))
            without = {change.revision for change in late if change.id not in vectors}
            lacking += [change.id for change in late if change.revision in without]
            if read is not None:
                said = part if kept is None else late
                read.append([_words(each) for each in said if each.revision not in without])
            columns.append([change for change in part if change.revision not in without])
        if generation is not None:
            born = columns.born[: columns.count]
            rest = np.flatnonzero(~np.isin(born, held))
            rows = np.concatenate([_positions(born, held), rest])
            columns = columns.take(rows)
            if read is not None and kept is not None:
                read = read.behind(kept).take(np.arange(len(rows)), columns)
            elif read is not None:
                read = read.take(rows, columns)
        state = cls(encoder, columns, index, revision, weights, read)
        state._lacking.update(lacking)
        state.count_popularity(changes, after=0, until=revision)
        state.count_exposure(changes, after=0, until=revision)
        state.take_rulings(changes, after=0, until=revision)
        return state

    def follow(self, changes: ChangeLog, until: int) -> None:
        """Take in what changed after `revision`, up to the revision `until`."""
        if until <= self.revision:
            return
        self._apply(changes.item_changes(self.revision, until, self.encoder.id))
        self.count_popularity(changes, after=self.revision, until=until)
        self.count_exposure(changes, after=self.revision, until=until)
        self.take_rulings(changes, after=self.revision, until=until)
        self.revision = until

    def complete(self, changes: ChangeLog) -> None:
        """Take in the items that have got a vector since they changed.

        That of an encoder that serves already comes with the change.
        """
        self._apply(changes.versions(list(self._lacking), self.encoder.id))

    def count_popularity(self, changes: ChangeLog, *, after: int, until: int) -> None:
        """Take in the interactions counted in the revisions after .. until."""
        decay = changes.popularity_decay()
        self.columns.set_decay(decay)
        for change in changes.popularity_changes(after, until):
            sums = ((each.type, each.total) for each in change.types)
            total = self.weights.total(sums, decay.half_life)
            self.columns.set_interactions(change.item_id, total)

    def count_exposure(self, changes: ChangeLog, *, after: int, until: int) -> None:
        """Take in the impressions counted in the revisions after .. until."""
        for change in changes.exposure_changes(after, until):
            self.columns.set_exposure(change)

    def take_rulings(self, changes: ChangeLog, *, after: int, until: int) -> None:
        """Take in what was decided in the revisions after .. until."""
        for change in changes.rulings_changes(after, until):
            self.columns.set_rulings(change)

    def scope(self, now: int, wanted: Filter | None) -> Scope:
        """Return what a request may find at `now`, microseconds since the epoch."""
        revision = self.revision
        return Scope(self.columns, self._masks, revision, self.columns.count, now, wanted)

    def has(self, item_ids: Sequence[str]) -> list[bool]:
        """Return whether each of the items is in the catalogue."""
        held: list[bool] = (self.columns.rows_at(item_ids, self.revision) != NO_ROW).tolist()
        return held

    def source(self) -> Source:
        """Return the versions that are current, for the next generation of the index."""
        rows = np.flatnonzero(self.columns.visible(self.revision, self.columns.count))
        return Source(
            self.columns.born[rows], lambda positions: self.index.vectors(rows[positions])
        )

    def adapted_source(self, head: Head) -> Source:
        """Return the current versions with vectors adapted by a head, for a generation of them."""
        rows = np.flatnonzero(self.columns.visible(self.revision, self.columns.count))
        return Source(
            self.columns.born[rows],
            lambda positions: head.adapted(self.index.vectors(rows[positions])),
        )

    def space_source(self, space: Space) -> Source:
        """Return the current versions that have a vector in a space, for its next generation."""
        rows = np.flatnonzero(self.columns.visible(self.revision, self.columns.count))
        rows = rows[space.has(rows)]
        return Source(self.columns.born[rows], lambda positions: space.vectors(rows[positions]))

    def with_adapted(self, head: Head, index: VectorIndex, held: Rows) -> Space:
        """Return the space of a head: an index of the versions `held` (n,), and all that it lacks.

        Must not run beside a change.
        """
        columns = self.columns
        rows = _positions(columns.born[: columns.count], held)
        space = Space.over(ADAPTED, index, rows, columns, head)
        rest = self.lacking(held)
        for start in range(0, len(rest), LOAD_ROWS):
            rows = rest[start : start + LOAD_ROWS]
            space.append(rows, head.adapted(self.index.vectors(rows)))
        return space

    def lacking(self, held: Rows) -> Rows:
        """Return the rows that are current and not among the versions `held` (n,), by revision."""
        current = self.columns.visible(self.revision, self.columns.count)
        return np.flatnonzero(current & ~np.isin(self.columns.born[: self.columns.count], held))

    def keep_words(self, generation: Generation) -> None:
        """Write the words of the rows of `generation` beside it, if this state is over it."""
        rows = len(generation.table)
        if self.words is not None and self.index.graph_rows == rows:
            write_words(generation.folder, self.words.first(rows))

    def dead_share(self) -> float:
        """Return the share of the graph's rows that are no longer current."""
        rows = self.index.graph_rows
        visible = self.columns.visible(self.revision, self.columns.count)[:rows]
        return 1 - float(visible.mean()) if rows else 0.0

    def rebased(self, generation: Generation, index: VectorIndex) -> "CatalogueState":
        """Return the same state over `index`, which is that of `generation` and not ahead of it.

        Must not run beside a change.
        """
        held = generation.table["revision"]
        rest = self.lacking(held)
        for start in range(0, len(rest), LOAD_ROWS):
            index.append(self.index.vectors(rest[start : start + LOAD_ROWS]))
        born = self.columns.born[: self.columns.count]
        rows = np.concatenate([_positions(born, held), rest])
        columns = self.columns.take(rows)
        words = None if self.words is None else self.words.take(rows, columns)
        expected = self.expected.take(rows, columns)
        spaces = {name: space.moved(rows, columns) for name, space in self.spaces.items()}
        return CatalogueState(
            self.encoder, columns, index, self.revision, self.weights, words, expected, spaces
        )

    def _apply(self, changes: Iterable[ItemChange]) -> None:
        for change in changes:
            row = self.columns.row_of.get(change.id)
            if row is not None and int(self.columns.born[row]) >= change.revision:
                continue
            self._lacking.discard(change.id)
            if row is not None and int(self.columns.died[row]) == DIED_NEVER:
                if self.words is not None:
                    self.words.forget(row)
                for space in self.spaces.values():
                    space.forget(row)
            if change.vector is None:
                # It was removed, or has no vector of this encoder and cannot be found yet.
                self.columns.kill(change.id, change.revision)
                if not change.removed:
                    self._lacking.add(change.id)
            else:
                self.index.append(change.vector[np.newaxis])
                if self.words is not None:
                    self.words.append([_words(change)])
                for space in self.spaces.values():
                    if space.head is not None:
                        vector = space.head.adapted(change.vector[np.newaxis])
                        space.append(np.array([self.columns.count]), vector)
                self.columns.append([change])


def _words(change: ItemChange) -> str:
    return f"{change.title}\n{change.text}"


def _positions(born: NDArray[np.int64], revisions: NDArray[np.int64]) -> Rows:
    """Return where each of `revisions` (n,) stands in `born`, NO_ROW where it does not."""
    order = np.argsort(born, kind="stable")
    at = np.searchsorted(born, revisions, sorter=order)
    rows = np.full(len(revisions), NO_ROW)
    inside = at < len(born)
    rows[inside] = order[at[inside]]
    rows[inside] = np.where(born[rows[inside]] == revisions[inside], rows[inside], NO_ROW)
    return rows
