"""How well lists find what was relevant: per request, from the marks of the places that hit."""

import numpy as np
from longtail.server.ranking.places import discounts
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Marks = NDArray[np.bool_]

# No relevant item may count for more than this many times the mean one.
WEIGHT_LIMIT = 10.0


def share(part: Floats | Ints, whole: Floats | Ints) -> Floats:
    """Return part / whole, of equal shapes; NaN where there is nothing to have a part of."""
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)


def ndcg(hits: Marks, relevant: Ints) -> Floats:
    """Return the NDCG with binary gains of each row of `hits` (U, K), as (U,).

    `relevant` (U,): how many relevant items there are. The ideal list holds as many of them as
    it has places for. NaN where there are none.
    """
    k = hits.shape[1]
    ideal = np.concatenate(([0.0], np.cumsum(discounts(k))))
    return share(hits.astype(np.float64) @ discounts(k), ideal[np.minimum(relevant, k)])


def recall(hits: Marks, relevant: Ints) -> Floats:
    """Return the share of all `relevant` (U,) items that each row of `hits` (U, K) found, as (U,).

    The divisor is not cut to K, so a short list cannot reach one where much is relevant. NaN where
    nothing is.
    """
    return share(hits.sum(axis=1), relevant)


def reciprocal_rank(hits: Marks) -> Floats:
    """Return one over the first place that hits in each row (U, K), zero without, as (U,)."""
    return np.where(hits.any(axis=1), 1 / (1 + hits.argmax(axis=1)), 0.0)


def inverse_propensities(popularity: Floats, gamma: float) -> Floats:
    """Return what each item (I,) weighs when its chance to be observed is taken out, as (I,).

    Yang, Cui, Xuan, Wang, Belongie and Estrin, "Unbiased Offline Recommender Evaluation for
    Missing-Not-At-Random Implicit Feedback" (RecSys 2018): the chance that a relevant item is
    observed grows with n ** ((gamma + 1) / 2) of its n interactions. An item without any counts
    as one with a single interaction. Only ratios of weights have a meaning.
    """
    return np.maximum(popularity, 1.0) ** (-(gamma + 1) / 2)


def limited(weights: Floats) -> Floats:
    """Cut the weights of n relevant items at WEIGHT_LIMIT times their mean."""
    return np.minimum(weights, WEIGHT_LIMIT * weights.mean()) if len(weights) else weights


def effective_sample_size(weights: Floats) -> float:
    """Return how many equally weighted observations tell as much (Kish, Survey Sampling, 1965)."""
    total = float(weights.sum())
    return total * total / float(weights @ weights) if total else 0.0


def opportunity_gap(hits: Ints, relevant: Ints) -> float:
    """Return PopREO: the standard deviation over the mean of the groups' shares found.

    `hits`, `relevant` (G,): per group of items, how many relevant ones were shown and how many
    there are. Zero when all groups have the same chance; NaN when no item was found, or a group
    has none to find. Zhu, Wang and Caverlee, "Measuring and Mitigating Item Under-Recommendation
    Bias in Personalized Ranking Systems" (SIGIR 2020).
    """
    found = share(hits, relevant)
    return float(found.std() / found.mean()) if found.sum() > 0 else float("nan")
