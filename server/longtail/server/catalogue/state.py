"""The catalogue in memory as one encoder sees it: columns and index, row by row, at a revision."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path

import numpy as np
from longtail.server.catalogue.array_file import below, named_below, read_arrays, write_arrays
from longtail.server.catalogue.columns.columns import DIED_NEVER, NO_ROW, Columns
from longtail.server.catalogue.columns.expected import ExpectedColumn
from longtail.server.catalogue.columns.filter import Filter
from longtail.server.catalogue.columns.mask_cache import MaskCache
from longtail.server.catalogue.columns.numbers import NumberColumn
from longtail.server.catalogue.columns.popularity import ScaleKeeper
from longtail.server.catalogue.columns.texts import Texts
from longtail.server.catalogue.index.build import Source
from longtail.server.catalogue.index.generation import Generation
from longtail.server.catalogue.index.graph import IndexParameters, Rows, Vector
from longtail.server.catalogue.index.vector_file import Matrix
from longtail.server.catalogue.index.vector_index import VectorIndex
from longtail.server.catalogue.scope import Scope
from longtail.server.catalogue.spaces.space import Head, Indexed, Space
from longtail.server.catalogue.words.loading import text_of, words_of_rows
from longtail.server.catalogue.words.word_index import WordIndex
from longtail.server.catalogue.words.words_file import FILE as WORDS_FILE
from longtail.server.catalogue.words.words_file import read_words, write_words
from longtail.server.store.changes import ChangeLog
from longtail.server.store.popularity_weights import PopularityWeights
from longtail.server.store.records import BoundEncoder, ItemChange, VectorSpace

# Items read from the store at a time: at a start, and beside serving, where to free more of them
# would keep the interpreter from those who are served.
LOAD_ROWS, FOLLOWED_ROWS = 2000, 500
# The columns of a generation's rows, and in it the items that had no vector and so no row.
COLUMNS_FILE, LACKING = "columns.arrays", "lacking/"


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
        self.numbers = NumberColumn(columns)
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
        spaces: Indexed | None = None,
    ) -> "CatalogueState":
        """Return the state of all items that have a vector of `encoder` or in a space of `spaces`.

        What `generation` has is mapped; what changed since is read, and stands in the delta, to be
        scanned.
        `words`: whether items are to be found by their words too. Without `spaces`, no space of
        the caller's is loaded.
        """
        revision = changes.position().revision
        # In this order: in one that is declared later there is no vector yet at the revision.
        declared = () if spaces is None else changes.vector_spaces()
        columns, index, newest, lacking = Columns(), VectorIndex(parameters), 0, Texts.empty()
        if generation is not None:
            arrays = read_arrays(generation.folder / COLUMNS_FILE)
            columns, index = Columns.of(arrays), VectorIndex.of(generation)
            newest, lacking = generation.newest, Texts.of(named_below(LACKING, arrays))
        read = words_of_rows(columns, changes, generation) if words else None
        state = cls(encoder, columns, index, revision, weights, read)
        names = {space.name for space in declared}
        state._take_in(changes.versions(list(lacking), encoder.id), names, LOAD_ROWS)
        state._take_in(changes.item_changes(newest, revision, encoder.id), names, LOAD_ROWS)
        if spaces is not None:
            state.spaces = {
                space.name: state._loaded(changes, space, *spaces(space)) for space in declared
            }
        state._leave_out_vectorless(revision)
        state.count_popularity(changes, after=0, until=revision)
        state.count_exposure(changes, after=0, until=revision)
        state.take_rulings(changes, after=0, until=revision)
        return state

    @property
    def declared_spaces(self) -> Mapping[str, VectorSpace]:
        """The spaces of the caller's, by name."""
        if not self.spaces:
            return {}
        found = (space.declared for space in self.spaces.values())
        return {each.name: each for each in found if each is not None}

    def follow(self, changes: ChangeLog, until: int) -> None:
        """Take in what changed after `revision`, up to the revision `until`."""
        if until <= self.revision:
            return
        # Before the items: those up to `until` have no vector in a space that is declared later.
        self._declare(changes.vector_spaces(), until)
        self._take_in(changes.item_changes(self.revision, until, self.encoder.id), self.spaces)
        self.count_popularity(changes, after=self.revision, until=until)
        self.count_exposure(changes, after=self.revision, until=until)
        self.take_rulings(changes, after=self.revision, until=until)
        self.revision = until

    def complete(self, changes: ChangeLog) -> None:
        """Take in the items that have got a vector since they changed.

        That of an encoder that serves already comes with the change.
        """
        self._take_in(changes.versions(list(self._lacking), self.encoder.id), self.spaces)

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
        lacking = list(self._lacking)
        return Source(
            self.columns.born[rows],
            lambda positions: self.index.vectors(rows[positions]),
            lambda folder, revisions: self._keep(folder, revisions, lacking),
        )

    def adapted_source(self, head: Head) -> Source:
        """Return the current versions with vectors adapted by a head, for a generation of them."""
        rows = np.flatnonzero(self.columns.visible(self.revision, self.columns.count))
        rows = self._having_text(rows)
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
        rest = self.unadapted(held)
        return self._space(
            index, held, rest, lambda rows: head.adapted(self.index.vectors(rows)), head
        )

    def unadapted(self, held: Rows) -> Rows:
        """Return the rows that are current, have a vector and are not among the versions `held`."""
        return self._having_text(self.lacking(held))

    def with_index(self, space: Space, index: VectorIndex, held: Rows) -> Space:
        """Return a space over an `index` of the versions `held` (n,), and what that lacks of it.

        Must not run beside a change.
        """
        rest = self.lacking(held)
        rest = rest[space.has(rest)]
        return self._space(index, held, rest, space.vectors, space.source)

    def lacking(self, held: Rows) -> Rows:
        """Return the rows that are current and not among the versions `held` (n,), by revision."""
        current = self.columns.visible(self.revision, self.columns.count)
        return np.flatnonzero(current & ~np.isin(self.columns.born[: self.columns.count], held))

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
        rows = np.concatenate([self.columns.rows_of(held), rest])
        columns = Columns.of(read_arrays(generation.folder / COLUMNS_FILE))
        columns.take(self.columns, rows)
        words, kept = self.words, read_words(generation.folder)
        if words is not None:
            words = words.take(rows, columns) if kept is None else words.over(kept, rows, columns)
        expected = self.expected.take(rows, columns)
        spaces = {name: space.moved(rows, columns) for name, space in self.spaces.items()}
        state = CatalogueState(
            self.encoder, columns, index, self.revision, self.weights, words, expected, spaces
        )
        state._lacking = self._lacking
        return state

    def _keep(self, folder: Path, revisions: Rows, lacking: Sequence[str]) -> Sequence[str]:
        """Write columns and words of the versions `revisions` (n,) as of the newest of them.

        What comes, goes or is decided after that is read again by whoever starts from them, and
        so are the items that were `lacking`.
        """
        columns, texts = self.columns, Texts.empty()
        texts.append(lacking)
        rows = columns.rows_of(revisions)
        there = np.flatnonzero(rows >= 0)
        gone = columns.died[rows[there]] <= revisions.max(initial=0)
        rows[there[gone]] = NO_ROW
        without = below(LACKING, texts.kept(np.arange(len(texts))))
        write_arrays(folder / COLUMNS_FILE, chain(columns.kept(rows), without))
        if self.words is None:
            return (COLUMNS_FILE,)
        write_words(folder, self.words.kept(rows))
        return COLUMNS_FILE, WORDS_FILE

    def _loaded(
        self,
        changes: ChangeLog,
        declared: VectorSpace,
        parameters: IndexParameters,
        generation: Generation | None,
    ) -> Space:
        """Return a space of the caller's: what its generation has, and the rest as it is read."""
        index = VectorIndex(parameters) if generation is None else VectorIndex.of(generation)
        held = np.empty(0, np.int64) if generation is None else generation.table["revision"]
        space = Space.over(index, self.columns.rows_of(held), self.columns, declared)
        rest = self.lacking(held)
        for start in range(0, len(rest), LOAD_ROWS):
            rows = rest[start : start + LOAD_ROWS]
            ids = self.columns.ids.of_each(rows.tolist())
            vectors = changes.vectors_in(declared.id, ids)
            having = [at for at, item_id in enumerate(ids) if item_id in vectors]
            if having:
                space.append(rows[having], np.stack([vectors[ids[at]] for at in having]))
        return space

    def _space(
        self,
        index: VectorIndex,
        held: Rows,
        rest: Rows,
        vectors: Callable[[Rows], Matrix],
        source: Head | VectorSpace,
    ) -> Space:
        """Return the space over an `index` of the versions `held`, and the rows in `rest`."""
        space = Space.over(index, self.columns.rows_of(held), self.columns, source)
        for start in range(0, len(rest), LOAD_ROWS):
            rows = rest[start : start + LOAD_ROWS]
            space.append(rows, vectors(rows))
        return space

    def _having_text(self, rows: Rows) -> Rows:
        """Return those of `rows` (n,) that have a vector of the encoder."""
        blank = self.index.are_blank(rows)
        return rows if blank is None else rows[~blank]

    def _declare(self, declared: Sequence[VectorSpace], revision: int) -> None:
        """Let the spaces of the caller's be those that are `declared` at a revision."""
        present = [each.declared for each in self.spaces.values() if each.declared is not None]
        if set(present) == set(declared):
            return
        gone = set(present) - set(declared)
        spaces = {name: each for name, each in self.spaces.items() if each.source not in gone}
        for each in declared:
            if each.name not in spaces:
                parameters = replace(self.index.parameters, dimension=each.dimension)
                spaces[each.name] = Space(VectorIndex(parameters), each)
        self.spaces = spaces
        if gone:
            self._leave_out_vectorless(revision)

    def _leave_out_vectorless(self, revision: int) -> None:
        """Let what has no vector at all any more die at a revision: nothing leads to it."""
        rows = np.flatnonzero(self.columns.live())
        blank = self.index.are_blank(rows)
        if blank is None:
            return
        rows = rows[blank]
        for space in self.spaces.values():
            rows = rows[~space.has(rows)]
        for row in rows.tolist():
            if self.words is not None:
                self.words.forget(row)
            self.columns.kill(self.columns.ids[row], revision)
            self._lacking.add(self.columns.ids[row])

    def _take_in(
        self, changes: Iterable[ItemChange], spaces: Collection[str], rows: int = FOLLOWED_ROWS
    ) -> None:
        """Take in the current versions of items, each once, but for those that are held.

        `spaces`: names of those that there are, in which the items may have vectors.
        """
        waiting = iter(changes)
        # `rows` at a time: the memory of all of them at once would stay with the process.
        while part := list(islice(waiting, rows)):
            self._take_in_part(part, spaces)

    def _take_in_part(self, part: Sequence[ItemChange], spaces: Collection[str]) -> None:
        columns = self.columns
        new: list[tuple[ItemChange, Mapping[str, Vector]]] = []
        of_each = columns.newest([change.id for change in part])
        for change, row in zip(part, of_each, strict=True):
            if row != NO_ROW and int(columns.born[row]) >= change.revision:
                continue
            self._lacking.discard(change.id)
            if row != NO_ROW and int(columns.died[row]) == DIED_NEVER:
                if self.words is not None:
                    self.words.forget(row)
                for space in self.spaces.values():
                    space.forget(row)
            extra = {
                name: vector for name, vector in change.extra_vectors.items() if name in spaces
            }
            if change.vector is not None or extra:
                new.append((change, extra))
                continue
            # It was removed, or has no vector of this encoder and cannot be found yet.
            columns.kill(change.id, change.revision)
            if not change.removed:
                self._lacking.add(change.id)
        if not new:
            return
        blank = np.zeros(self.index.parameters.dimension, np.float32)
        self.index.append(
            np.stack([blank if change.vector is None else change.vector for change, _ in new])
        )
        if self.words is not None:
            self.words.append([text_of(change) for change, _ in new])
        for row, (change, given) in enumerate(new, columns.count):
            self._place(row, change, given)
        columns.append([change for change, _ in new])

    def _place(self, row: int, change: ItemChange, extra: Mapping[str, Vector]) -> None:
        """Give a row the vectors of a change in spaces: `extra`, and what a head makes."""
        rows = np.array([row])
        for name, space in self.spaces.items():
            if name in extra:
                space.append(rows, extra[name][np.newaxis])
            elif space.head is not None and change.vector is not None:
                space.append(rows, space.head.adapted(change.vector[np.newaxis]))
