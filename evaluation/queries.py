"""Requests by text alone: queries that people wrote, or texts of items that stand in for them."""

from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
from longtail.server.ranking.evidence import FEATURES, PoolScale, features, observed
from longtail.server.ranking.relevance import RelevanceModel
from longtail.server.ranking.retrieval import Sources, fused
from longtail.server.ranking.taste import Taste, taste
from numpy.typing import NDArray

from evaluation.metrics import Truth
from evaluation.requests import Requests
from evaluation.sources import PEOPLE, fitted_words
from evaluation.task import Catalogue, Floats, Ints, Matrix, Task
from evaluation.world import World

NOBODY = np.empty(0)
NOTHING = np.empty((0, 0), np.float32)


@dataclass(frozen=True)
class Asked:
    """Q queries: their unit `vectors` (Q, d), their words, and what is relevant to them.

    `words` (Q, I): BM25 of each query's words in each item's text.
    """

    vectors: Matrix
    words: Floats
    truth: Truth


def query_sources(world: World, asked: Asked, pool: int, usual: Sources) -> Sources:
    """Return the shares with which most of what is relevant to queries is a candidate.

    `usual` stand where others find hardly more.
    """
    size, first = min(pool, world.items), min(PEOPLE, len(asked.vectors))
    found = [
        _both(world.vectors @ vector, words, size)
        for vector, words in zip(asked.vectors[:first], asked.words[:first], strict=True)
    ]
    truth = asked.truth.first(first)

    def held(share: float) -> float:
        items = np.stack([_fused(*both, size, share) for both in found])
        return float(truth.hits(items).sum() / truth.counts.sum())

    return replace(usual, words=fitted_words(held, usual.words))


def query_requests(world: World, asked: Asked, pool: int, sources: Sources) -> Requests:
    """Return the requests of queries, of `pool` candidates each."""
    size = min(pool, world.items)
    unknown = taste(NOBODY, world.scale)
    vectors, truth = asked.vectors, asked.truth
    items = np.empty((len(vectors), size), np.int64)
    raw = np.empty(items.shape)
    values = np.empty((*items.shape, len(FEATURES)), np.float32)
    for at, (vector, words) in enumerate(zip(vectors, asked.words, strict=True)):
        cosines = world.vectors @ vector
        items[at] = _fused(*_both(cosines, words, size), size, sources.words)
        values[at] = _features(world, items[at], cosines, words, unknown)
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
        items[at] = _best(cosines, size)
        scores[at] = model.probability(_features(world, items[at], cosines, nowhere, unknown))
    return Task(
        Catalogue(world.popularity, world.bucket, world.vectors),
        k,
        items,
        scores,
        np.tile(unknown.shares, (len(asked), 1)),
        np.zeros(len(asked), np.int64),
        seed,
    )


def _both(cosines: NDArray[np.float32], words: Floats, size: int) -> tuple[Ints, Ints]:
    """Return the `size` items that are nearest to a query and those with its words, best first."""
    worded = _best(words, size)
    return _best(cosines, size), worded[words[worded] > 0]


def _fused(nearest: Ints, worded: Ints, size: int, share: float) -> Ints:
    found = fused(nearest.tolist(), worded.tolist(), size, share)
    return np.fromiter(islice(found, size), np.int64, size)


def _features(
    world: World, items: Ints, cosines: NDArray[np.float32], words: Floats, unknown: Taste
) -> Floats:
    """Return the features of the candidates `items` (n,) of a query."""
    evidence = observed(
        world.vectors[items],
        cosines[items, None].astype(np.float64),
        NOTHING,
        np.zeros((2, len(items))),
        np.zeros(len(items)),
        world.popularity[items],
        world.scale,
        words[items],
    )
    return features(evidence, unknown, PoolScale.of(evidence))


def _best(scores: NDArray[np.floating[Any]], size: int) -> Ints:
    """Return the items (size,) with the highest `scores` (I,), the best first."""
    best = np.argpartition(-scores, size - 1)[:size]
    return best[np.argsort(-scores[best], kind="stable")]
