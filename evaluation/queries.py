"""Requests by text alone: queries that people wrote, or texts of items that stand in for them."""

from itertools import islice
from typing import Any

import numpy as np
from longtail.server.ranking.evidence import FEATURES, PoolScale, features, observed
from longtail.server.ranking.relevance import RelevanceModel
from longtail.server.ranking.retrieval import fused
from longtail.server.ranking.taste import Taste, taste
from numpy.typing import NDArray

from evaluation.metrics import Truth
from evaluation.requests import Requests
from evaluation.task import Catalogue, Floats, Ints, Matrix, Task
from evaluation.world import World

NOBODY = np.empty(0)
NOTHING = np.empty((0, 0), np.float32)


def query_requests(
    world: World, vectors: Matrix, words: Floats, truth: Truth, pool: int
) -> Requests:
    """Return the requests of queries with unit `vectors` (Q, d), of `pool` candidates each.

    `words` (Q, I): BM25 of each query's words in each item's text.
    """
    size = min(pool, world.items)
    unknown = taste(NOBODY, world.scale)
    items = np.empty((len(vectors), size), np.int64)
    raw = np.empty(items.shape)
    values = np.empty((*items.shape, len(FEATURES)), np.float32)
    for at, vector in enumerate(vectors):
        cosines = world.vectors @ vector
        items[at], values[at] = _found(world, cosines, words[at], size, unknown)
        raw[at] = cosines[items[at]]
    return Requests(
        np.arange(len(vectors)),
        items,
        values,
        raw,
        np.tile(unknown.shares, (len(vectors), 1)),
        np.zeros(len(vectors), np.int64),
        truth,
    )


def query_task(
    world: World, model: RelevanceModel, *, count: int, pool: int, k: int, seed: int
) -> Task:
    """Return `count` requests, for items drawn from `seed`, of the `pool` nearest other items."""
    random = np.random.default_rng(seed)
    asked = random.permutation(world.items)[: min(count, world.items)]
    size = min(pool, world.items - 1)
    unknown, nowhere = taste(NOBODY, world.scale), np.zeros(world.items)
    items = np.empty((len(asked), size), np.int64)
    scores = np.empty(items.shape)
    for at, item in enumerate(asked):
        cosines = world.vectors @ world.vectors[item]
        cosines[item] = -np.inf
        items[at], values = _found(world, cosines, nowhere, size, unknown)
        scores[at] = model.probability(values)
    return Task(
        Catalogue(world.popularity, world.bucket, world.vectors),
        k,
        items,
        scores,
        np.tile(unknown.shares, (len(asked), 1)),
        np.zeros(len(asked), np.int64),
        seed,
    )


def _found(
    world: World, cosines: NDArray[np.float32], words: Floats, size: int, unknown: Taste
) -> tuple[Ints, Floats]:
    """Return what is nearest to a query and holds its words (size,), and its features."""
    nearest = _best(cosines, size)
    worded = _best(words, size)
    worded = worded[words[worded] > 0]
    found = fused(nearest.tolist(), worded.tolist(), size)
    nearest = np.fromiter(islice(found, size), np.int64, size)
    evidence = observed(
        world.vectors[nearest],
        cosines[nearest, None].astype(np.float64),
        NOTHING,
        np.zeros((2, size)),
        np.zeros(size),
        world.popularity[nearest],
        world.scale,
        words[nearest],
    )
    return nearest, features(evidence, unknown, PoolScale.of(evidence))


def _best(scores: NDArray[np.floating[Any]], size: int) -> Ints:
    """Return the items (size,) with the highest `scores` (I,), the best first."""
    best = np.argpartition(-scores, size - 1)[:size]
    return best[np.argsort(-scores[best], kind="stable")]
