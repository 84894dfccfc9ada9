"""The retrieval underneath: Longtail's scores of queries beside meaning and words."""

import numpy as np
from longtail.server.ranking.profile import Context, default_profile

from evaluation.base.table import DEFAULT, DEPTH, FITTED, compared, ranked
from evaluation.fitting import learned
from evaluation.query_experiment import QueryExperiment
from evaluation.report.results import BaseTable
from evaluation.task import Floats, Ints
from evaluation.words import Words

DENSE, BM25, FUSED = "dense", "BM25", "reciprocal rank fusion"
# Cormack, Clarke and Buettcher, "Reciprocal Rank Fusion Outperforms Condorcet and Individual Rank
# Learning Methods" (SIGIR 2009): the constant, and the places of each list that count.
FUSION_PLACES, FUSION_DEPTH = 60, 1_000


def query_table(material: QueryExperiment, k: int) -> BaseTable:
    """Compare on lists of `k`, the queries to report on being resampled."""
    test = material.test
    requests, world = test.period.requests, test.period.world
    depth = min(DEPTH, requests.items.shape[1])
    prior = default_profile().models[Context.QUERY]
    fitted = learned(material.valid.period.requests, prior).model
    shown = {
        name: ranked(requests.items, test.period.probabilities(model), depth)
        for name, model in ((FITTED, fitted), (DEFAULT, prior))
    }
    dense = (test.vectors @ world.vectors.T).astype(np.float64)
    words = Words(material.texts).scores(test.texts)
    # What holds no word of a query is not found by it.
    words[words == 0] = -np.inf
    for name, scores in ((DENSE, dense), (BM25, words), (FUSED, fused(dense, words))):
        shown[name] = best(scores, depth)
    return compared(
        test.period,
        k,
        shown,
        {name: {} for name in (DENSE, BM25, FUSED)},
        (),
        material.options.seed,
    )


def fused(*scores: Floats) -> Floats:
    """Return the sum of the reciprocal ranks of items (Q, I) in the lists that `scores` make.

    What has a score of minus infinity is in no list.
    """
    total = np.zeros_like(scores[0])
    for each in scores:
        top = best(each, min(FUSION_DEPTH, each.shape[1]))
        listed = np.isfinite(np.take_along_axis(each, top, axis=1))
        worth = np.where(listed, 1 / (FUSION_PLACES + 1 + np.arange(top.shape[1])), 0.0)
        so_far = np.take_along_axis(total, top, axis=1)
        np.put_along_axis(total, top, so_far + worth, axis=1)
    return total


def best(scores: Floats, length: int) -> Ints:
    """Return the `length` best of all items (Q, length), the best first, the earlier of equals."""
    return np.argsort(-scores, axis=1, kind="stable")[:, :length]
