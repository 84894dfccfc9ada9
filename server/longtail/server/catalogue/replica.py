"""The catalogue in memory: a replica that follows the store.

It is brought up to date by replaying what the store changed since the revision that it holds, after
every write and whenever another process wrote. So a crash loses nothing. A new generation of the
index, or another encoder, is a second state that takes the place of the first when it is complete.
"""

import hashlib
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from longtail.runtime.errors import Unavailable
from longtail.server.catalogue.index.depot import Depot
from longtail.server.catalogue.index.generation import (
    Generation,
    Graphs,
    Target,
    latest_generation,
)
from longtail.server.catalogue.index.graph import IndexParameters
from longtail.server.catalogue.index.hnsw import HnswGraphs
from longtail.server.catalogue.index.vector_index import VectorIndex
from longtail.server.catalogue.spaces.metrics import SpaceMetrics
from longtail.server.catalogue.spaces.space import ADAPTED, Head, Space
from longtail.server.catalogue.state import CatalogueState
from longtail.server.settings import Settings
from longtail.server.store.record_store import RecordStore
from longtail.server.store.records import BoundEncoder, VectorSpace

logger = logging.getLogger(__name__)

# So many vectors are adapted at once when a head comes; more are in a generation first.
AT_ONCE_ROWS = 2048
# The adapted vectors propose a few candidates, not all, and are searched in this part of the width.
ADAPTED_WIDTH = 1 / 6


class CatalogueReplica:
    """The state of the catalogue, kept up to date. Take `state` once per request.

    `graphs`: where those of the index are kept; None for memory. `depot`: where an index is found
    that the folder lacks. `recall` is what the recall canary found last, 0 before.
    """

    def __init__(
        self,
        store: RecordStore,
        encoder: BoundEncoder,
        settings: Settings,
        folder: Path,
        graphs: Graphs | None = None,
        depot: Depot | None = None,
    ) -> None:
        self._store = store
        self._settings = settings
        self._folder = folder
        self.graphs = graphs or HnswGraphs()
        self._depot = depot
        self._identity = store.changes.identity()
        self._following = threading.Lock()
        # That of an encoder which is to be switched to.
        self._staged: CatalogueState | None = None
        self._staging = threading.Lock()
        # That is to be in service, or is.
        self._head: Head | None = None
        self._metrics = SpaceMetrics()
        self.recall = 0.0
        self._is_torn = False
        self._state = self._load(encoder)

    @property
    def state(self) -> CatalogueState:
        """The state to answer from."""
        return self._state

    @property
    def revision(self) -> int:
        """The revision that can be read."""
        return self._state.revision

    @property
    def live_count(self) -> int:
        """Items that are in the catalogue."""
        return self._state.columns.live_count

    @property
    def tombstone_count(self) -> int:
        """Versions of items that are no longer current and still take memory."""
        return self._state.columns.count - self._state.columns.live_count

    @property
    def delta_count(self) -> int:
        """Versions that stand beside the graph."""
        return self._state.index.delta_rows

    def follow(self) -> None:
        """Take in what the store changed; return when it can be read."""
        with self._following:
            position = self._store.changes.position()
            state = self._state
            if self._is_torn or position.encoder_id != state.encoder.id:
                state = self._renewed()
            try:
                state.follow(self._store.changes, position.revision)
            except Unavailable:
                # Only reading fails so: what was taken in before is whole, and is not taken twice.
                raise
            except BaseException:
                # Columns and index may be of unequal length: it is loaded anew before it goes on.
                self._is_torn = True
                raise
            if state.encoder != self._state.encoder:
                # It is of the other encoder's vectors.
                self._head = None
            self._state, self._is_torn = state, False
            self._metrics.tell(state.spaces)

    def stage(self, encoder: BoundEncoder) -> None:
        """Bring the state of an encoder that is to be switched to up to date, beside the present.

        That leaves little to be done when the switch comes, while every write waits for it.
        """
        with self._staging:
            # What fails half way, or is of no use any more, is not held.
            staged, self._staged = self._staged, None
            if staged is not None and staged.encoder == encoder:
                staged.complete(self._store.changes)
                staged.follow(self._store.changes, self._store.changes.position().revision)
            else:
                del staged
                staged = self._load(encoder)
            self._staged = staged

    def unstage(self) -> None:
        """Drop what was staged: no switch comes."""
        with self._staging:
            self._staged = None

    def target(self, encoder: BoundEncoder) -> Target:
        """Return where the generations of an encoder's index are, and what they are built for."""
        binding = encoder.binding
        parameters = IndexParameters(
            binding.dimension,
            self._settings.index_links,
            self._settings.index_ef_construction,
            self._settings.index_ef_search,
        )
        # The same store with another encoder, or another store with the same one, is another index.
        built_for = f"{binding.model_id} {self._identity}"
        return Target(self._folder / f"encoder-{encoder.id}", built_for, parameters, self.graphs)

    def adopt(self, generation: Generation) -> bool:
        """Go over to a generation of the index; return whether it was of use."""
        index = VectorIndex.of(generation)
        self.follow()
        with self._following:
            state = self._state
            current = generation.target.built_for == self.target(state.encoder).built_for
            if not current or generation.newest > state.revision:
                return False
            self._state = state.rebased(generation, index)
        return True

    @property
    def head(self) -> Head | None:
        """The head that serves, or is to; None where there is none."""
        return self._head

    @property
    def coming(self) -> Head | None:
        """The head whose space is to be built before it serves; None where there is none."""
        space, head = self._state.spaces.get(ADAPTED), self._head
        return None if space is not None and space.head is head else head

    def adapt(self, head: Head | None) -> None:
        """Let a head of the present encoder serve; None: none from now on.

        It serves on return where its vectors are in a generation, or few. Else the indexer makes
        one first, and the head before it serves on.
        """
        with self._following:
            space, encoder = self._state.spaces.get(ADAPTED), self._state.encoder
            present = None if space is None else space.head
            if head is not None and present is not None and present.version == head.version:
                self._head = present
                return
            self._head = head
            if head is None:
                others = self._state.spaces.items()
                self._go_over({name: each for name, each in others if name != ADAPTED})
                return
        target = self.adapted_target(encoder, head)
        generation = latest_generation(target, revision=self._state.revision)
        if generation is None:
            index, held = VectorIndex(target.parameters), np.empty(0, np.int64)
        else:
            index, held = VectorIndex.of(generation), generation.table["revision"]
        self.follow()
        with self._following:
            state = self._state
            if self._head is head and len(state.unadapted(held)) <= AT_ONCE_ROWS:
                space = state.with_adapted(head, index, held)
                self._go_over({**state.spaces, ADAPTED: space})
                logger.info("head in service version=%s", head.version)

    def adapted_target(self, encoder: BoundEncoder, head: Head) -> Target:
        """Return where the generations of a head's vectors are, and what they are built for."""
        texts = self.target(encoder)
        width = max(1, round(ADAPTED_WIDTH * texts.parameters.ef_search))
        digest = hashlib.sha256(head.version.encode()).hexdigest()[:16]
        return Target(
            self._folder / f"adapted-{encoder.id}-{digest}",
            f"{head.version} {texts.built_for}",
            replace(texts.parameters, ef_search=width),
            self.graphs,
        )

    def adopt_adapted(self, head: Head, generation: Generation) -> bool:
        """Go over to a generation of a head's vectors; return whether it was of use."""
        index = VectorIndex.of(generation)
        self.follow()
        with self._following:
            state = self._state
            target = self.adapted_target(state.encoder, head)
            current = self._head is head and generation.target.built_for == target.built_for
            if not current or generation.newest > state.revision:
                return False
            held = generation.table["revision"]
            space = state.with_adapted(head, index, held)
            self._go_over({**state.spaces, ADAPTED: space})
        return True

    def space_target(self, encoder: BoundEncoder, declared: VectorSpace) -> Target:
        """Return where the generations of a space of the caller's are, and what for."""
        parameters = replace(self.target(encoder).parameters, dimension=declared.dimension)
        # No other space of this store ever has its id.
        folder = self._folder / f"space-{declared.id}"
        return Target(folder, f"space {declared.id} {self._identity}", parameters, self.graphs)

    def adopt_space(self, declared: VectorSpace, generation: Generation) -> bool:
        """Go over to a generation of a space of the caller's; return whether it was of use."""
        index = VectorIndex.of(generation)
        self.follow()
        with self._following:
            state = self._state
            space = state.spaces.get(declared.name)
            target = self.space_target(state.encoder, declared)
            if (
                space is None
                or space.source != declared
                or generation.target.built_for != target.built_for
                or generation.newest > state.revision
            ):
                return False
            space = state.with_index(space, index, generation.table["revision"])
            self._go_over({**state.spaces, declared.name: space})
        return True

    def targets(self) -> Sequence[Target]:
        """Return where the generations of the present vectors are: of texts, and of spaces."""
        state = self._state
        spaces = [space.declared for space in state.spaces.values() if space.declared is not None]
        return [
            self.target(state.encoder),
            *(self.space_target(state.encoder, declared) for declared in spaces),
        ]

    def _indexed(
        self, declared: VectorSpace, encoder: BoundEncoder, revision: int
    ) -> tuple[IndexParameters, Generation | None]:
        target = self.space_target(encoder, declared)
        return target.parameters, self._found(target, revision)

    def _found(self, target: Target, revision: int) -> Generation | None:
        """Return the newest generation that is of use: in the folder, else from the depot."""
        generation = latest_generation(target, revision=revision)
        if generation is not None or self._depot is None:
            return generation
        try:
            self._depot.fetch(target, revision)
        except Exception as error:
            # Whatever its library raises: the index is built here.
            logger.warning("no generation from the depot error=%r", error)
        return latest_generation(target, revision=revision)

    def _go_over(self, spaces: Mapping[str, Space]) -> None:
        self._state.spaces = spaces
        self._metrics.tell(spaces)

    def _renewed(self) -> CatalogueState:
        """Return a whole state of the encoder that the store has now: the staged one if it is."""
        current = self._store.encoders.current()
        if current is None:
            raise RuntimeError("the store has lost its encoder")
        logger.info("taking a new state encoder=%s", current.binding.model_id)
        with self._staging:
            staged, self._staged = self._staged, None
        if staged is None or staged.encoder != current:
            return self._load(current)
        staged.complete(self._store.changes)
        return staged

    def _load(self, encoder: BoundEncoder) -> CatalogueState:
        started = time.monotonic()
        target = self.target(encoder)
        revision = self._store.changes.position().revision
        generation = self._found(target, revision)
        state = CatalogueState.load(
            self._store.changes,
            encoder,
            target.parameters,
            generation,
            self._settings.type_weights,
            words=self._settings.words,
            spaces=lambda declared: self._indexed(declared, encoder, revision),
        )
        # What was replaced while it was read is put right by what changed since.
        state.follow(self._store.changes, self._store.changes.position().revision)
        logger.info(
            "catalogue loaded items=%d in_graph=%d seconds=%.1f",
            state.columns.live_count,
            state.index.graph_rows,
            time.monotonic() - started,
        )
        return state
