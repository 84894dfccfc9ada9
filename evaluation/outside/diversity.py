"""MMR, MSD, DPP and SSD from the package `pyversity`, over the text vectors of the pool.

- MMR: Carbonell and Goldstein, "The Use of MMR, Diversity-Based Reranking" (SIGIR 1998).
- MSD: Borodin, Lee and Ye, "Max-Sum Diversification, Monotone Submodular Functions and Dynamic
  Updates" (PODS 2012).
- DPP: Chen, Zhang and Zhou, "Fast Greedy MAP Inference for Determinantal Point Process to Improve
  Recommendation Diversity" (NeurIPS 2018).
- SSD: Huang, Wang, Zhang and Xu, "Sliding Spectrum Decomposition for Diversified Recommendation"
  (KDD 2021).

They want unlike items, not tail items. Their dial is the package's `diversity`, from 0, the plain
order, to 1, diversity alone.
"""

from functools import partial

import numpy as np
from pyversity import Strategy, diversify

from evaluation.baselines.dials import mixtures, relevance
from evaluation.task import Family, Ints, Method, Task

# Even steps in the odds of diversity: each strategy gives way somewhere else.
DIVERSITIES = mixtures(0.01, 1000, 26)


def _diversified(strategy: Strategy, task: Task, diversity: float) -> Ints:
    scores = relevance(task)
    lists = np.empty((len(scores), task.k), np.int64)
    for person, items in enumerate(task.items):
        vectors = task.catalogue.vectors[items]
        result = diversify(vectors, scores[person], task.k, strategy=strategy, diversity=diversity)
        lists[person] = result.indices
    return lists


METHODS = tuple(
    Method(strategy.name, Family.OUTSIDE, DIVERSITIES, partial(_diversified, strategy))
    for strategy in (Strategy.MMR, Strategy.MSD, Strategy.DPP, Strategy.SSD)
)
