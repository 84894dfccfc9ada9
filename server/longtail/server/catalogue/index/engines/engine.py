"""Graphs in an engine that several machines share: what is searched there, and what if it is away.

The engine takes the place of the graph alone. The vectors stay beside it in a file, mapped: by them
the cosines of what it found are made exact, and they are compared one by one while it is away.

An engine that fails once is not asked again until `check`, which runs apart from the answers, has
found it well: so one that is away costs the time of one search, not of every one.
"""

import logging
import secrets
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from weakref import WeakSet

import numpy as np
from longtail.server.catalogue.index.engines.backend import Backend, CollectionLost, EngineError
from longtail.server.catalogue.index.generation import Generation, Target, said_of_graphs
from longtail.server.catalogue.index.graph import (
    Graph,
    GraphAway,
    GraphError,
    IndexParameters,
    KeptSearches,
    Matrix,
    Result,
    Rows,
)
from prometheus_client import Counter, Gauge

logger = logging.getLogger(__name__)

COLLECTION, PREFIX = "collection", "longtail_"
# Tells the collections of one folder of generations from those of another.
OWNER_FILE = "engine-owner"
# Given to the engine at a time.
BATCH_ROWS = 2048

WELL = Gauge("longtail_index_engine_up", "Whether the index engine answers; NaN without one.")
WELL.set(float("nan"))
FAILURES = Counter(
    "longtail_index_engine_failures_total",
    "Searches that the index engine failed; after one it is left alone until it is well.",
)


class EngineGraph:
    """The graph of one generation, in a collection of an engine: see graph.Graph.

    Of `vectors` (n, d), those of the generation, the first `live_count` different ones are there.
    """

    def __init__(self, engine: "Engine", generation: Generation) -> None:
        self.collection = str(generation.manifest[COLLECTION])
        self.is_lost = False
        self._engine = engine
        self._parameters = generation.parameters
        self._vectors = generation.vectors.mapped()
        table = generation.table
        own = np.flatnonzero(table["representative"] == np.arange(len(table)))
        self._live = len(own)
        # By which it is told whether the collection is what was written.
        self._last = (int(own[-1]), int(table["revision"][own[-1]])) if len(own) else None
        self._kept = KeptSearches()

    @property
    def live_count(self) -> int:
        """Rows that can be found."""
        return self._live

    @property
    def nbytes(self) -> int:
        """None: it is the engine's memory."""
        return 0

    def search(self, vectors: Matrix, k: int) -> list[Result]:
        """Return the `k` rows nearest to each of `vectors` (n, d), and their cosines.

        See graph.Graph.search. Raises GraphAway when the engine does not answer.
        """
        k = min(k, self._live)
        if k == 0:
            return [(np.empty(0, np.int64), np.empty(0))] * len(vectors)
        return self._kept.search(vectors, k, self._search)

    def check(self, *, thoroughly: bool) -> None:
        """Raise EngineError where the engine does not find what it has; see whether it is lost.

        `thoroughly`: whether what it has may be something else than before.
        """
        if self._last is None or self.is_lost:
            return
        row, revision = self._last
        backend = self._engine.backend
        try:
            is_there = not thoroughly or backend.revision(self.collection, row) == revision
            [found] = backend.search(self.collection, self._vectors[row][np.newaxis], 1, 1)
            is_there &= len(found) > 0
        except CollectionLost:
            is_there = False
        if not is_there:
            logger.warning("the engine has lost a collection name=%s", self.collection)
            self.is_lost = True

    def _search(self, vectors: Matrix, k: int) -> list[Result]:
        if self.is_lost:
            raise GraphAway(f"{self.collection} is lost")
        try:
            found = self._engine.search(self.collection, vectors, k, self._parameters.ef_search)
        except CollectionLost as error:
            self.is_lost = True
            raise GraphAway(str(error)) from None
        return [self._exact(vector, rows, k) for vector, rows in zip(vectors, found, strict=True)]

    def _exact(self, vector: Matrix, rows: Rows, k: int) -> Result:
        """Return `rows` with their cosines, from the nearest on."""
        count = len(rows)
        # The collection may have rows of the next generation already.
        rows = rows[rows < len(self._vectors)]
        if count < k or (count and int(rows.min(initial=0)) < 0):
            raise GraphError(f"{count} of {k} rows were found in {self.collection}")
        cosines = (self._vectors[rows] @ vector).astype(np.float64)
        order = np.argsort(-cosines, kind="stable")
        return rows[order], cosines[order]


class Engine:
    """A backend, and whether it is well, which is not known before the first `check`.

    Any number of threads search.
    """

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self._is_well = threading.Event()
        self._graphs = WeakSet[EngineGraph]()
        # Those that were not checked yet.
        self._doubted = WeakSet[EngineGraph]()
        self._opening = threading.Lock()
        WELL.set(0)

    def graph(self, generation: Generation) -> EngineGraph:
        """Return the graph of a generation."""
        graph = EngineGraph(self, generation)
        with self._opening:
            self._graphs.add(graph)
            self._doubted.add(graph)
        return graph

    def search(self, collection: str, vectors: Matrix, k: int, width: int) -> list[Rows]:
        """Return what the backend finds; raise GraphAway when it fails or did before."""
        if not self._is_well.is_set():
            raise GraphAway("the engine is away")
        try:
            return list(self.backend.search(collection, vectors, k, width))
        except CollectionLost:
            raise
        except EngineError as error:
            FAILURES.inc()
            WELL.set(0)
            self._is_well.clear()
            logger.warning("the index engine fails, scanning until it is well reason=%s", error)
            raise GraphAway(str(error)) from None

    def check(self) -> None:
        """See whether the engine answers; raise EngineError when it does not."""
        with self._opening:
            graphs = list(self._graphs)
        try:
            for graph in graphs:
                # One that was away may have been put back to an older state.
                graph.check(thoroughly=graph in self._doubted or not self._is_well.is_set())
                self._doubted.discard(graph)
            if all(graph.is_lost for graph in graphs):
                # What is to be built anew takes more than an answer.
                self.backend.prepare()
        except EngineError:
            WELL.set(0)
            self._is_well.clear()
            raise
        WELL.set(1)
        self._is_well.set()

    def close(self) -> None:
        """Give up all connections."""
        self.backend.close()


class EngineGraphs:
    """The graphs of the generations in the folders in `folder`: see generation.Graphs."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self._engine = engine
        self._folder = folder
        self.kind = engine.backend.kind

    def can_extend(self, generation: Generation) -> bool:
        """Say whether the collection is the generation's and nothing has been added since."""
        graph = self._engine.graph(generation)
        backend = self._engine.backend
        try:
            graph.check(thoroughly=True)
            return not graph.is_lost and not backend.reaches(
                graph.collection, len(generation.table)
            )
        except CollectionLost:
            return False

    def draft(
        self, target: Target, number: int, previous: Generation | None, _fresh: int
    ) -> "EngineDraft":
        """Begin a collection of its own, or go on with that of `previous`."""
        if previous is not None:
            collection = str(previous.manifest[COLLECTION])
        else:
            kind = target.folder.name.replace("-", "_")
            collection = f"{self._prefix()}{kind}_{number}"
            self._engine.backend.create(collection, target.parameters)
        return EngineDraft(self._engine.backend, collection, target.parameters)

    def open(self, generation: Generation) -> Graph:
        """Return the graph of a generation, whether the engine is there or not."""
        return self._engine.graph(generation)

    def verify(self, _generation: Generation) -> None:
        """Do nothing: what is lost is found out by `Engine.check`, which can wait."""

    def prune(self, folder: Path) -> None:
        """Drop the collections of generations that are gone, and of builds that came to nothing."""
        needed = said_of_graphs(folder, COLLECTION)
        for name in self._engine.backend.collections(self._prefix()):
            if name not in needed:
                self._engine.backend.drop(name)

    def _prefix(self) -> str:
        file = self._folder / OWNER_FILE
        if not file.exists():
            file.write_text(secrets.token_hex(5))
        return f"{PREFIX}{file.read_text()}_"


class EngineDraft:
    """A collection that is being filled: see generation.Draft."""

    built = None

    def __init__(self, backend: Backend, collection: str, parameters: IndexParameters) -> None:
        self._backend = backend
        self._collection = collection
        self._parameters = parameters
        self._waiting: list[tuple[Rows, Rows, Matrix]] = []

    def add(self, rows: Rows, revisions: Rows, vectors: Matrix) -> None:
        """Add unit `vectors` (n, d) as new `rows` (n,), which are those versions of items."""
        self._waiting.append((rows, revisions, vectors))
        if sum(len(each) for each, _, _ in self._waiting) >= BATCH_ROWS:
            self._send()

    def remove(self, _row: int) -> bool:
        """Leave the row where it is: an engine that forgets rows one by one gets worse by it."""
        return False

    def finish(self, _folder: Path, waiting: Callable[[], None]) -> Mapping[str, str]:
        """Return when all that was added is found; say in which collection."""
        self._send()
        self._backend.finish(self._collection, self._parameters, waiting)
        return {COLLECTION: self._collection}

    def _send(self) -> None:
        if self._waiting:
            rows, revisions, vectors = (
                np.concatenate(parts) for parts in zip(*self._waiting, strict=True)
            )
            self._waiting.clear()
            self._backend.append(self._collection, rows, revisions, vectors)
