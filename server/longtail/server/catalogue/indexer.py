"""Keeps the graph up with the catalogue: merges, rebuilds, and the generations on disk.

Of the processes of one store, one builds generations; the others take over what it built. The
thread that builds yields to those that answer.
"""

import fcntl
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
from longtail.server.catalogue.index.build import Progress, Source, Stopped, build
from longtail.server.catalogue.index.generation import (
    Generation,
    Target,
    finished_number,
    latest_generation,
    prune,
)
from longtail.server.catalogue.index.vector_file import DamagedFileError
from longtail.server.catalogue.index.vector_index import VectorIndex
from longtail.server.catalogue.replica import CatalogueReplica
from longtail.server.catalogue.spaces.space import Head, Space
from longtail.server.catalogue.state import CatalogueState
from longtail.server.process.part import Part
from longtail.server.store.record_store import RecordStore
from longtail.server.store.records import BoundEncoder
from prometheus_client import Counter, Gauge

logger = logging.getLogger(__name__)

LOCK_FILE = "owner.lock"
POLL_SECONDS = 0.5
# A disk that is full will not be empty in a moment.
RETRY_SECONDS = 10.0
# The graph is built anew when more than this share of its rows is no longer current.
DEAD_SHARE = 0.25
# The delta is merged when it is longer than this share of the graph: scanning it then takes
# about as long as searching the graph.
DELTA_SHARE = 1 / 32
PROGRESS_ROWS = 10_240
NICENESS = 10

TO_BUILD = Gauge("longtail_index_build_rows", "Rows that the build in progress adds; 0 for none.")
BUILT = Gauge("longtail_index_built_rows", "Rows that the build in progress has added.")
GENERATIONS = Counter("longtail_index_generations_total", "Generations written.", ["reason"])


class Indexer:
    """Builds the generations of the index of `view`; `run` it in a thread of its own.

    `merge_rows`: the shortest delta that is merged. No failure ends `run`, none costs an answer:
    what is not in the graph is scanned. `part` tells of it.
    """

    def __init__(
        self,
        view: CatalogueReplica,
        store: RecordStore,
        folder: Path,
        merge_rows: int,
        part: Part,
    ) -> None:
        self._view = view
        self._store = store
        self._folder = folder
        self._merge_rows = merge_rows
        self._part = part
        self._stopping = threading.Event()
        self._building = threading.Lock()
        # By what it is of: the newest generation of another process's that was looked at.
        self._seen: dict[Path, int] = {}

    def run(self, became_owner: Callable[[], None]) -> None:
        """Own the index, or follow its owner, until stopped."""
        _yield_to_others()
        lock: IO[str] | None = None
        owns = False
        with ExitStack() as held:
            while not self._stopping.is_set():
                with self._part:
                    if lock is None:
                        self._folder.mkdir(parents=True, exist_ok=True)
                        lock = held.enter_context((self._folder / LOCK_FILE).open("w"))
                    if owns:
                        self._build_what_is_due()
                    elif _locked(lock.fileno()):
                        owns = True
                        became_owner()
                        with self._building:
                            self._prune()
                    else:
                        self._take_over()
                        self._stage_next()
                self._stopping.wait(POLL_SECONDS if self._part.well else RETRY_SECONDS)

    def stop(self) -> None:
        """Let `run` and `rebuild` end soon."""
        self._stopping.set()

    def rebuild(self, encoder: BoundEncoder, progress: Progress) -> None:
        """Bring the index of `encoder` up to the store; from nothing when it is the current one.

        Raises Stopped, and OSError when the disk takes no more.
        """
        # A thread of its own: one that was given a low priority does not get it back.
        with ThreadPoolExecutor(1, "rebuild", initializer=_yield_to_others) as thread:
            thread.submit(self._rebuild, encoder, progress).result()

    def _rebuild(self, encoder: BoundEncoder, progress: Progress) -> None:
        self._view.follow()
        current = self._view.state
        if encoder.id == current.encoder.id:
            self._build(current, "rebuild", progress, afresh=True)
            for space in self._view.state.spaces.values():
                self._build_space(space, "rebuild", afresh=True)
            return
        target = self._view.target(encoder)
        state = CatalogueState.load(
            self._store.changes, encoder, target.parameters, None, current.weights
        )
        self._build(state, "encoder", progress, afresh=False)

    def _build_what_is_due(self) -> None:
        state = self._view.state
        with suppress(Stopped):
            if state.index.is_lost:
                self._build(state, "lost", _ignore, afresh=True)
            elif state.dead_share() > DEAD_SHARE:
                self._build(state, "tombstones", _ignore, afresh=True)
            elif self._is_due(state):
                self._build(state, "merge", _ignore, afresh=False)
            coming = self._view.coming
            if coming is not None:
                self._build_adapted(coming, "head", afresh=False)
            for space in self._view.state.spaces.values():
                if space.index.is_lost:
                    self._build_space(space, "lost", afresh=True)
                elif space.dead_share() > DEAD_SHARE:
                    self._build_space(space, "tombstones", afresh=True)
                elif self._is_long(space.index.delta_rows, space.index):
                    self._build_space(space, "merge", afresh=False)

    def _is_due(self, state: CatalogueState) -> bool:
        columns = state.columns
        # Those of a write that is just being taken in are in no source yet.
        born = columns.born[state.index.graph_rows : columns.count]
        return self._is_long(int(np.count_nonzero(born <= state.revision)), state.index)

    def _is_long(self, delta: int, index: VectorIndex) -> bool:
        return delta >= max(self._merge_rows, DELTA_SHARE * index.graph_rows)

    def _build(
        self, state: CatalogueState, reason: str, progress: Progress, *, afresh: bool
    ) -> None:
        with self._building:
            target = self._view.target(state.encoder)
            generation = self._built(
                target, state.source(), state.revision, reason, progress, afresh=afresh
            )
            self._view.adopt(generation)
            self._prune()

    def _build_space(self, space: Space, reason: str, *, afresh: bool) -> None:
        if space.declared is None:
            if space.head is not None:
                self._build_adapted(space.head, reason, afresh=afresh)
            return
        with self._building:
            state = self._view.state
            target = self._view.space_target(state.encoder, space.declared)
            source = state.space_source(space)
            generation = self._built(target, source, state.revision, reason, _ignore, afresh=afresh)
            self._view.adopt_space(space.declared, generation)
            self._prune()

    def _build_adapted(self, head: Head, reason: str, *, afresh: bool) -> None:
        with self._building:
            state = self._view.state
            target = self._view.adapted_target(state.encoder, head)
            generation = self._built(
                target, state.adapted_source(head), state.revision, reason, _ignore, afresh=afresh
            )
            if self._view.adopt_adapted(head, generation):
                prune(target.folder)
                # Which of them are of use is known when a head is.
                for folder in self._folder.glob("adapted-*"):
                    if folder != target.folder:
                        shutil.rmtree(folder, ignore_errors=True)
                self._view.graphs.prune(self._folder)

    def _built(
        self,
        target: Target,
        source: Source,
        revision: int,
        reason: str,
        progress: Progress,
        *,
        afresh: bool,
    ) -> Generation:
        started = time.monotonic()
        previous = None if afresh else _latest(target, revision)
        try:
            generation = build(target, source, previous, self._reporting(progress))
        except DamagedFileError as error:
            logger.warning("generation damaged while it was in use, building anew %s", error)
            generation = build(target, source, None, self._reporting(progress))
        finally:
            TO_BUILD.set(0)
            BUILT.set(0)
        GENERATIONS.labels(reason).inc()
        logger.info(
            "generation written folder=%s number=%d rows=%d reason=%s seconds=%.1f",
            target.folder.name,
            generation.number,
            len(generation.table),
            reason,
            time.monotonic() - started,
        )
        return generation

    def _reporting(self, progress: Progress) -> Progress:
        def report(done: int, total: int) -> None:
            if self._stopping.is_set():
                raise Stopped
            TO_BUILD.set(total)
            BUILT.set(done)
            if done // PROGRESS_ROWS > (done - 1) // PROGRESS_ROWS and total > PROGRESS_ROWS:
                logger.info("building index rows=%d of=%d", done, total)
            progress(done, total)

        return report

    def _take_over(self) -> None:
        """Adopt what the owner has built since the last look."""
        view, head = self._view, self._view.head
        self._take(view.target(view.state.encoder), view.adopt)
        if head is not None:
            target = view.adapted_target(view.state.encoder, head)
            self._take(target, partial(view.adopt_adapted, head))
        for space in view.state.spaces.values():
            if space.declared is not None:
                target = view.space_target(view.state.encoder, space.declared)
                self._take(target, partial(view.adopt_space, space.declared))

    def _take(self, target: Target, adopt: Callable[[Generation], bool]) -> None:
        newest = finished_number(target.folder)
        if newest == self._seen.get(target.folder):
            return
        # What the owner has indexed may not have been followed here yet.
        self._view.follow()
        generation = _latest(target, self._view.revision)
        if generation is not None and adopt(generation):
            logger.info(
                "generation taken over folder=%s number=%d", target.folder.name, generation.number
            )
        self._seen[target.folder] = newest

    def _stage_next(self) -> None:
        """Be ready for the encoder that the owner has an index for and is about to switch to."""
        coming = self._store.encoders.next()
        if coming is not None and finished_number(self._view.target(coming).folder):
            self._view.stage(coming)
        else:
            # When the switch has come, what is staged is taken over, not dropped.
            self._view.follow()
            self._view.unstage()

    def _prune(self) -> None:
        """Remove generations that nobody needs: older ones, of retired encoders, deleted spaces."""
        encoders = self._store.encoders.current(), self._store.encoders.next()
        used = {self._view.target(encoder).folder for encoder in encoders if encoder is not None}
        state = self._view.state
        used |= {
            self._view.space_target(state.encoder, space.declared).folder
            for space in state.spaces.values()
            if space.declared is not None
        }
        for folder in (*self._folder.glob("encoder-*"), *self._folder.glob("space-*")):
            if folder in used:
                prune(folder)
            else:
                shutil.rmtree(folder, ignore_errors=True)
        self._view.graphs.prune(self._folder)


def _latest(target: Target, revision: int) -> Generation | None:
    return latest_generation(target, revision=revision)


def _yield_to_others() -> None:
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _ignore(_done: int, _total: int) -> None:
    pass
