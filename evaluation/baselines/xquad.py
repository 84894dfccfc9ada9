"""Explicit coverage of popularity groups: xQuAD for the long tail, and PFAR.

xQuAD: Abdollahpouri, Burke and Mobasher, "Managing Popularity Bias in Recommender Systems with
Personalized Re-ranking" (FLAIRS 2019). An item earns the person's share of its group, times how
far the list still lacks that group. PFAR: Liu and Burke, "Personalizing Fairness-aware Re-ranking"
(FATREC 2018). The first item of a group earns the entropy of what the person likes: who likes a
little of everything bears more of the cost.
"""

import numpy as np
from longtail.server.ranking.popularity import Bucket

from evaluation.baselines.dials import mixtures
from evaluation.baselines.groups import buckets, greedy, tail_or_rest
from evaluation.task import Family, Floats, Ints, Method, Task


def _taste_for_rest_and_tail(task: Task) -> Floats:
    tail = task.taste[:, Bucket.TAIL]
    return np.stack([1 - tail, tail], axis=1)


def _xquad_binary(task: Task, dial: float) -> Ints:
    taste = _taste_for_rest_and_tail(task)
    return greedy(tail_or_rest(task), dial, lambda taken: taste * (taken == 0))


def _xquad_smooth(task: Task, dial: float) -> Ints:
    taste = _taste_for_rest_and_tail(task)

    def bonus(taken: Ints) -> Floats:
        share = taken / np.maximum(taken.sum(axis=1, keepdims=True), 1)
        missing: Floats = taste * (1 - share)
        return missing

    return greedy(tail_or_rest(task), dial, bonus)


def _pfar(task: Task, dial: float) -> Ints:
    # A share of zero adds nothing to the entropy.
    shares = np.where(task.taste > 0, task.taste, 1.0)
    tolerance = -(shares * np.log(shares)).sum(axis=1, keepdims=True)
    return greedy(buckets(task), dial, lambda taken: tolerance * (taken == 0))


DIALS = mixtures(0.01, 100, 38)
XQUAD_BINARY = Method("xQuAD binary", Family.BASELINE, DIALS, _xquad_binary)
# As printed, the smooth form multiplies 1 - share once per item of the list and so dies out as fast
# as the binary one. The single factor keeps its effect and is the stronger opponent.
XQUAD_SMOOTH = Method("xQuAD smooth", Family.BASELINE, DIALS, _xquad_smooth)
PFAR = Method("PFAR", Family.BASELINE, mixtures(0.005, 20, 38), _pfar)
