"""Lists whose shares of head, middle and tail follow what the person liked before.

Both methods maximise (1 - dial) * sum of relevance - dial * divergence(taste, list) greedily.
Steck, "Calibrated Recommendations" (RecSys 2018) takes the Kullback-Leibler divergence to the
smoothed list; calibrated popularity, Abdollahpouri, Mansoury, Burke, Mobasher and Malthouse,
"User-centered Evaluation of Popularity Bias in Recommender Systems" (UMAP 2021), takes the
Jensen-Shannon divergence.
"""

from collections.abc import Callable

import numpy as np

from evaluation.baselines.dials import mixtures
from evaluation.baselines.groups import buckets, greedy
from evaluation.task import Family, Floats, Ints, Method, Rerank, Task

# Steck's alpha: how much of the taste is mixed into the list so that the divergence stays finite.
SMOOTHING = 0.01


def _kullback_leibler(p: Floats, q: Floats) -> Floats:
    # Where p is zero the term is zero, whatever q is.
    present = p > 0
    ratio = np.divide(p, q, out=np.ones(np.broadcast(p, q).shape), where=present)
    divergence: Floats = np.where(present, p * np.log(ratio), 0.0).sum(axis=-1)
    return divergence


def smoothed_kullback_leibler(taste: Floats, shares: Floats) -> Floats:
    """Return the divergence (...) of `shares` from `taste` (..., G) in nats, 0 or more."""
    return _kullback_leibler(taste, (1 - SMOOTHING) * shares + SMOOTHING * taste)


def jensen_shannon(taste: Floats, shares: Floats) -> Floats:
    """Return the divergence (...) between `taste` and `shares` (..., G) in bits, from 0 to 1."""
    middle = (taste + shares) / 2
    nats = (_kullback_leibler(taste, middle) + _kullback_leibler(shares, middle)) / 2
    bits: Floats = nats / np.log(2)
    return bits


def calibrated(divergence: Callable[[Floats, Floats], Floats]) -> Rerank:
    """Return the greedy re-ranker that keeps the `divergence` between taste and list small."""

    def rerank(task: Task, dial: float) -> Ints:
        taste = task.taste[:, None, :]

        def bonus(taken: Ints) -> Floats:
            grown = taken[:, None, :] + np.eye(taken.shape[1], dtype=np.int64)
            return -divergence(taste, grown / grown.sum(axis=2, keepdims=True))

        return greedy(buckets(task), dial, bonus)

    return rerank


DIALS = mixtures(0.01, 100, 38)
CALIBRATED_POPULARITY = Method("CP", Family.BASELINE, DIALS, calibrated(jensen_shannon))
STECK = Method("Steck", Family.BASELINE, DIALS, calibrated(smoothed_kullback_leibler))
