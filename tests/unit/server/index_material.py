"""Small vectors, scopes and sources for tests of the index."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from longtail.server.catalogue.index.build import Source, build
from longtail.server.catalogue.index.generation import Generation, Target
from longtail.server.catalogue.index.graph import Graph, IndexParameters
from longtail.server.catalogue.index.hnsw import HnswGraph, HnswGraphs
from longtail.server.catalogue.index.vector_index import Mask, VectorIndex

PARAMETERS = IndexParameters(dimension=16, links=16, ef_construction=100, ef_search=100)


def vectors(n: int, seed: int = 1) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(n, 16)).astype(np.float32)
    unit: np.ndarray = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def nearest(graph: Graph, vector: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return what the graph finds for one vector: rows and cosines."""
    [found] = graph.search(vector[np.newaxis], k)
    return found


def graph_of(rows: np.ndarray) -> HnswGraph:
    graph = HnswGraph(PARAMETERS, len(rows))
    graph.add(np.arange(len(rows)), rows)
    return graph


@dataclass(frozen=True)
class Seen:
    """A scope that is a mask."""

    allowed: Mask

    @property
    def rows(self) -> int:
        return len(self.allowed)

    @property
    def share(self) -> float:
        return max(float(self.allowed.mean()), 1e-9) if self.rows else 1.0

    def mask(self) -> Mask:
        return self.allowed

    def passes(self, rows: np.ndarray) -> Mask:
        inside: Mask = rows < len(self.allowed)
        inside[inside] = self.allowed[rows[inside]]
        return inside


def everything(n: int) -> Seen:
    return Seen(np.ones(n, np.bool_))


def target(folder: Path, built_for: str = "a", parameters: IndexParameters = PARAMETERS) -> Target:
    return Target(folder, built_for, parameters, HnswGraphs())


def source(rows: np.ndarray, revisions: np.ndarray | None = None) -> Source:
    numbers = np.arange(1, len(rows) + 1) if revisions is None else revisions
    return Source(numbers, lambda positions: rows[positions])


def ignore(_done: int, _total: int) -> None:
    pass


def generation_of(folder: Path, rows: np.ndarray) -> Generation:
    return build(target(folder), source(rows), None, ignore)


def index_of(folder: Path, rows: np.ndarray) -> VectorIndex:
    return VectorIndex.of(generation_of(folder, rows))
