"""The fit of a ranking profile on what people liked in the validation period."""

from dataclasses import replace

import numpy as np
from longtail.server.ranking.evidence import FEATURES
from longtail.server.ranking.profile import LEAST_REACH
from longtail.server.ranking.relevance import RelevanceModel, fitted
from numpy.typing import NDArray

from evaluation.dataset import DatasetError
from evaluation.requests import Requests
from evaluation.task import Floats

# How strongly the weights are held to the default profile's, see `relevance.fitted`.
PRIOR_STRENGTH = 3.0


def fit_relevance(
    requests: Requests, prior: RelevanceModel, without: frozenset[str] = frozenset()
) -> RelevanceModel:
    """Fit P(relevant) on what the people of `requests` liked; `without`: features to leave out.

    Raises DatasetError when the pools hold nothing that was liked, or nothing else.
    """
    return _fitted(requests.features, requests.relevant, prior, without)


def cross_fitted(
    requests: Requests, prior: RelevanceModel, without: frozenset[str] = frozenset()
) -> Floats:
    """Return P(relevant) of each candidate, (U, n), by a model fitted on the other half of people.

    Raises DatasetError as `fit_relevance` does.
    """
    half = np.arange(len(requests.users)) % 2 == 0
    probabilities = np.empty(requests.items.shape)
    for asked in (half, ~half):
        model = _fitted(requests.features[~asked], requests.relevant[~asked], prior, without)
        values = requests.features[asked].reshape(-1, len(FEATURES)).astype(np.float64)
        probabilities[asked] = model.probability(values).reshape(-1, requests.items.shape[1])
    return probabilities


def _fitted(
    features: NDArray[np.float32],
    relevant: NDArray[np.bool_],
    prior: RelevanceModel,
    without: frozenset[str],
) -> RelevanceModel:
    values = features.reshape(-1, len(FEATURES)).astype(np.float64)
    left_out = [at for at, name in enumerate(FEATURES) if name in without]
    values[:, left_out] = 0.0
    weights = prior.weights.copy()
    weights[left_out] = 0.0
    outcomes = relevant.ravel().astype(np.float64)
    if not 0 < outcomes.sum() < len(outcomes):
        raise DatasetError(
            f"of {len(outcomes):,} candidates {outcomes.sum():,.0f} turned out relevant: "
            "there is nothing to fit on"
        )
    return fitted(values, outcomes, replace(prior, weights=weights), PRIOR_STRENGTH)


def reach(requests: Requests) -> float:
    """Return the share of what turned out relevant that the pools hold."""
    return max(LEAST_REACH, float(requests.relevant.sum() / requests.truth.counts.sum()))
