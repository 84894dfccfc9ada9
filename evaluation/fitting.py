"""The fit of a ranking profile on what people liked in the validation period."""

from dataclasses import dataclass, replace

import numpy as np
from longtail.server.ranking.evidence import FEATURES
from longtail.server.ranking.profile import LEAST_REACH
from longtail.server.ranking.relevance import RelevanceModel, fitted
from numpy.typing import NDArray

from evaluation.dataset import DatasetError
from evaluation.requests import Requests
from evaluation.task import Floats, Ints

# How strongly the weights are held to the default profile's, see `relevance.fitted`: as little as
# does no harm, and where all of them do, so that hardly anything is fitted.
HELD, AS_THEY_ARE = (30.0, 300.0, 3000.0), 1e9
# Popularity is held less: what is stated of the popular and of others is to be what happens to
# them, whatever else is not learned.
POPULARITY_HELD = 3.0
_OF_POPULARITY = np.array([name.startswith("popularity") for name in FEATURES])
# The length of the lists by which it is seen what does harm.
JUDGED = 10


@dataclass(frozen=True)
class Learned:
    """A model of P(relevant), and what such models say of people they were not fitted on.

    `held_out` (U, n): of each candidate, by a model fitted on the other half of the people.
    """

    model: RelevanceModel
    held_out: Floats


def learned(
    requests: Requests, prior: RelevanceModel, without: frozenset[str] = frozenset()
) -> Learned:
    """Fit P(relevant) on what the people of `requests` liked; `without`: features to leave out.

    Partial pooling: the weights are held to the prior's the more strongly, until lists of people
    they were not fitted on are no worse than those of the prior itself. So little data, or data
    that say another thing of each half, leave the prior as it is. Raises DatasetError when the
    pools hold nothing that was liked, or nothing else.
    """
    left_out = [at for at, name in enumerate(FEATURES) if name in without]
    weights, values = prior.weights.copy(), requests.features.astype(np.float64)
    weights[left_out] = values[:, :, left_out] = 0.0
    prior, relevant = replace(prior, weights=weights), requests.relevant
    least = _worth(requests, _stated(prior, values))
    for strength in (*HELD, AS_THEY_ARE):
        held_out = _cross_fitted(values, relevant, prior, strength)
        if _worth(requests, held_out) >= least:
            break
    return Learned(_fitted(values, relevant, prior, strength), held_out)


def _worth(requests: Requests, scores: Floats) -> float:
    """Return the sum of the NDCG of the lists by `scores` (U, n)."""
    top: Ints = np.argsort(-scores, axis=1, kind="stable")[:, :JUDGED]
    worth = requests.truth.ndcg(np.take_along_axis(requests.items, top, axis=1))
    return float(worth[~np.isnan(worth)].sum())


def _cross_fitted(
    features: Floats, relevant: NDArray[np.bool_], prior: RelevanceModel, strength: float
) -> Floats:
    half = np.arange(len(features)) % 2 == 0
    probabilities = np.empty(relevant.shape)
    for asked in (half, ~half):
        model = _fitted(features[~asked], relevant[~asked], prior, strength)
        probabilities[asked] = _stated(model, features[asked])
    return probabilities


def _stated(model: RelevanceModel, features: Floats) -> Floats:
    values = features.reshape(-1, features.shape[2])
    return model.probability(values).reshape(features.shape[:2])


def _fitted(
    features: Floats, relevant: NDArray[np.bool_], prior: RelevanceModel, strength: float
) -> RelevanceModel:
    outcomes = relevant.ravel().astype(np.float64)
    if not 0 < outcomes.sum() < len(outcomes):
        raise DatasetError(
            f"of {len(outcomes):,} candidates {outcomes.sum():,.0f} turned out relevant: "
            "there is nothing to fit on"
        )
    strengths = np.where(_OF_POPULARITY, POPULARITY_HELD, strength)
    return fitted(features.reshape(-1, features.shape[2]), outcomes, prior, strengths)


def reach(requests: Requests) -> float:
    """Return the share of what turned out relevant that the pools hold."""
    return max(LEAST_REACH, float(requests.relevant.sum() / requests.truth.counts.sum()))
