"""The index over an engine that several machines share: beside bare calls of the same engine.

`--engine` says which. What it is given is dropped again at the end.
"""

import ctypes
import gc
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psycopg
from longtail.server.catalogue.index.build import Source, build
from longtail.server.catalogue.index.engines.choice import backend_at
from longtail.server.catalogue.index.engines.engine import COLLECTION, Engine, EngineGraphs
from longtail.server.catalogue.index.generation import Generation, Target, latest_generation
from longtail.server.catalogue.index.graph import IndexParameters
from longtail.server.catalogue.index.hnsw import HnswGraphs
from longtail.server.catalogue.index.vector_index import Mask, VectorIndex
from longtail.server.settings import Settings
from longtail.v1 import embedding_service_pb2 as pb
from numpy.typing import NDArray
from psycopg import sql
from pymilvus import MilvusClient

from bench import context
from bench.context import Matrix
from bench.figures import Measured, NotRun, Sections, median, single
from bench.texts import SEED

Rows = NDArray[np.int64]
Search = Callable[[Matrix], Rows]

# Of a copy of an item as a query: the length of the noise, where the item's is 1.
_NOISE = 0.5
_QUERIES, _QUICK_QUERIES = 150, 20
_NEAREST = 10
_FOR_MEMORY = 10_000


class All:
    """A scope that everything is in: see vector_index.Scope."""

    share = 1.0

    def __init__(self, rows: int) -> None:
        self.rows = rows

    def mask(self) -> Mask:
        """Return that each row may be found."""
        return np.ones(self.rows, np.bool_)

    def passes(self, rows: Rows) -> Mask:
        """Return for each of `rows` (n,) whether it is there."""
        inside: Mask = rows < self.rows
        return inside


class Context(context.Context):
    """What is built once: the same vectors in the engine, and in memory."""

    @cached_property
    def vectors(self) -> Matrix:
        """The vectors (n, d) of --items items, or of fewer with --quick."""
        texts = self.catalogue.to_encode[: self.options.items]
        vectors = self.vectors_of("items", texts, pb.ROLE_ITEM)
        return vectors[:4000] if self.options.quick else vectors

    @cached_property
    def settings(self) -> Settings:
        """What a server has without being told."""
        return Settings()

    @cached_property
    def engine(self) -> Engine:
        """The engine of --engine; raises NotRun without it."""
        if not self.options.engine:
            raise NotRun("no --engine")
        engine = Engine(backend_at(self.options.engine))
        engine.check()
        self.leaving.callback(engine.close)
        return engine

    @cached_property
    def seconds_to_build(self) -> float:
        """What it took to build the index in the engine."""
        started = time.perf_counter()
        _ = self.shared
        return time.perf_counter() - started

    @cached_property
    def shared(self) -> Generation:
        """The generation whose graph is in the engine."""
        target = self._target("engine", EngineGraphs(self.engine, self._folder))
        generation = self._built(target, len(self.vectors))
        collection = str(generation.manifest[COLLECTION])
        self.leaving.callback(self.engine.backend.drop, collection)
        return generation

    @cached_property
    def own(self) -> Generation:
        """A generation whose graph is in a file, of as many vectors as tell what one takes."""
        return self._built(self._target("memory", HnswGraphs()), _FOR_MEMORY)

    def queries(self, turn: int) -> Matrix:
        """Return unit vectors (n, d) that no turn has had: items, moved."""
        draw = np.random.default_rng((SEED, turn))
        count = _QUICK_QUERIES if self.options.quick else _QUERIES
        items = self.vectors[draw.choice(len(self.vectors), count, replace=False)]
        noise = draw.normal(size=items.shape)
        moved = items + _NOISE * noise / np.linalg.norm(noise, axis=1, keepdims=True)
        unit = moved / np.linalg.norm(moved, axis=1, keepdims=True)
        return np.asarray(unit, np.float32)

    @cached_property
    def _folder(self) -> Path:
        folder = TemporaryDirectory(dir=self.out)
        self.leaving.callback(folder.cleanup)
        return Path(folder.name)

    def _target(self, name: str, graphs: EngineGraphs | HnswGraphs) -> Target:
        settings = self.settings
        parameters = IndexParameters(
            self.vectors.shape[1],
            settings.index_links,
            settings.index_ef_construction,
            settings.index_ef_search,
        )
        return Target(self._folder / name, "bench", parameters, graphs)

    def _built(self, target: Target, count: int) -> Generation:
        vectors = self.vectors[:count]
        source = Source(np.arange(1, len(vectors) + 1), lambda rows: np.asarray(vectors[rows]))
        return build(target, source, None, lambda *_: None)


SECTIONS: Sections[Context] = Sections()


@SECTIONS.add(
    "1",
    "searches of the index over an engine, beside bare calls of its own client",
    "recall@10 >= 0.97",
    "p50 against bare calls <= 1.3 x",
    "p50 [ms]",
    "p50 of bare calls [ms]",
    "building it [s]",
)
def _searches(bench: Context) -> Iterator[Measured]:
    seconds = bench.seconds_to_build
    bench.say(f"{len(bench.vectors):,} vectors are in the engine after {seconds:.0f} s")
    index = VectorIndex.of(bench.shared)
    k, scope = bench.settings.candidates, All(len(bench.vectors))
    ways: dict[str, Search] = {
        "ours": lambda query: index.search(query, k, scope)[0],
        "bare": _bare(bench),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    rounds: dict[str, list[float]] = {name: [] for name in ways}
    recall: list[float] = []
    for turn in bench.turns("searches"):
        for search in ways.values():
            search(bench.queries(1000 + turn)[0])
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for at, query in enumerate(bench.queries(turn)):
            exact = bench.vectors @ query
            least = np.partition(exact, -_NEAREST)[-_NEAREST] - 1e-6
            # Whoever is first finds the processor's caches as the exact search left them.
            names = list(ways)
            for name in names[at % len(names) :] + names[: at % len(names)]:
                started = time.perf_counter()
                rows = ways[name](query)
                taken[name].append(1000 * (time.perf_counter() - started))
                # Bare calls find one of several rows with one vector.
                if name == "ours":
                    recall.append(float((exact[rows[:_NEAREST]] >= least).mean()))
        for name, found in taken.items():
            times[name] += found
            rounds[name].append(float(np.median(found)))
    yield single(float(np.mean(recall)), len(recall))
    ratios = [a / b for a, b in zip(rounds["ours"], rounds["bare"], strict=True)]
    yield median(ratios, f"{k} nearest, ef {bench.settings.index_ef_search}")
    for name in ways:
        spread = rounds[name]
        yield Measured(float(np.median(times[name])), len(times[name]), min(spread), max(spread))
    yield single(seconds, 1, f"{len(bench.vectors):,} vectors")


@SECTIONS.add(
    "2",
    "memory of the index in the server's process, of its own and not mapped, per item",
    "with the graph in the engine <= 100 bytes",
    "with the graph in memory [bytes]",
)
def _memory(bench: Context) -> Iterator[Measured]:
    for generation in (bench.shared, bench.own):
        target = generation.target
        del generation
        before = _anonymous()
        found = latest_generation(target, revision=len(bench.vectors))
        rows = 0 if found is None else len(found.table)
        if found is None:
            raise NotRun("the generation is gone")
        index = VectorIndex.of(found)
        del found
        index.search(bench.queries(2000)[0], 200, All(rows))
        yield single((_anonymous() - before) / rows, 1, f"{rows:,} items")
        del index


def _bare(bench: Context) -> Search:
    """Return the engine's own client, asked for what the index is asked for."""
    url, collection = bench.options.engine, str(bench.shared.manifest[COLLECTION])
    k, width = bench.settings.candidates, bench.settings.index_ef_search
    if url.startswith("http"):
        client = MilvusClient(url)

        def milvus(query: Matrix) -> Rows:
            [hits] = client.search(
                collection,
                data=[query],
                limit=k,
                anns_field="vector",
                search_params={"params": {"ef": width}},
                consistency_level="Bounded",
            )
            return np.array(hits.ids)

        return milvus
    connection = bench.leaving.enter_context(psycopg.connect(url, autocommit=True))
    connection.execute(f"SET hnsw.ef_search = {width}")
    statement = sql.SQL("SELECT row_id FROM {} ORDER BY vector <#> %s::halfvec LIMIT {}").format(
        sql.Identifier(collection), k
    )

    def pgvector(query: Matrix) -> Rows:
        text = "[" + ",".join(map(str, query.tolist())) + "]"
        found = connection.execute(statement, (text,), prepare=True, binary=True)
        return np.array([row for (row,) in found])

    return pgvector


def _anonymous() -> int:
    """Return the bytes of this process that are in no file, and not free to be taken again."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    with Path("/proc/self/status").open() as status:
        [line] = [line for line in status if line.startswith("RssAnon:")]
    return 1024 * int(line.split()[1])
