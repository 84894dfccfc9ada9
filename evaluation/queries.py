"""Requests by text alone, for the dial of a query: the text of an item stands in for a query."""

import numpy as np
from longtail.server.ranking.evidence import PoolScale, features, observed
from longtail.server.ranking.relevance import RelevanceModel
from longtail.server.ranking.taste import taste

from evaluation.task import Catalogue, Task
from evaluation.world import World

NOBODY = np.empty(0)
NOTHING = np.empty((0, 0), np.float32)


def query_task(
    world: World, model: RelevanceModel, *, count: int, pool: int, k: int, seed: int
) -> Task:
    """Return `count` requests, for items drawn from `seed`, of the `pool` nearest other items."""
    random = np.random.default_rng(seed)
    asked = random.permutation(world.items)[: min(count, world.items)]
    size = min(pool, world.items - 1)
    unknown = taste(NOBODY, world.scale)
    items = np.empty((len(asked), size), np.int64)
    scores = np.empty(items.shape)
    for at, item in enumerate(asked):
        cosines = world.vectors @ world.vectors[item]
        cosines[item] = -np.inf
        nearest = np.argpartition(-cosines, size - 1)[:size]
        evidence = observed(
            world.vectors[nearest],
            cosines[nearest, None].astype(np.float64),
            NOTHING,
            np.zeros((2, size)),
            np.zeros(size),
            world.popularity[nearest],
            world.scale,
        )
        items[at] = nearest
        scores[at] = model.probability(features(evidence, unknown, PoolScale.of(evidence)))
    return Task(
        Catalogue(world.popularity, world.bucket, world.vectors),
        k,
        items,
        scores,
        np.tile(unknown.shares, (len(asked), 1)),
        np.zeros(len(asked), np.int64),
        seed,
    )
