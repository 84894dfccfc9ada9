"""The fit of a ranking profile on what people liked in the validation period."""

from dataclasses import replace

import numpy as np

from evaluation.dataset import DatasetError
from evaluation.requests import Requests
from server.ranking.evidence import FEATURES
from server.ranking.profile import LEAST_REACH
from server.ranking.relevance import RelevanceModel, fitted

# How strongly the weights are held to the default profile's, see `relevance.fitted`.
PRIOR_STRENGTH = 10.0


def fit_relevance(
    requests: Requests, prior: RelevanceModel, without: frozenset[str] = frozenset()
) -> RelevanceModel:
    """Fit P(relevant) on what the people of `requests` liked; `without`: features to leave out.

    Raises DatasetError when the pools hold nothing that was liked, or nothing else.
    """
    values = requests.features.reshape(-1, len(FEATURES)).astype(np.float64)
    left_out = [at for at, name in enumerate(FEATURES) if name in without]
    values[:, left_out] = 0.0
    weights = prior.weights.copy()
    weights[left_out] = 0.0
    relevant = requests.relevant.ravel().astype(np.float64)
    if not 0 < relevant.sum() < len(relevant):
        raise DatasetError(
            f"of {len(relevant):,} candidates {relevant.sum():,.0f} turned out relevant: "
            "there is nothing to fit on"
        )
    return fitted(values, relevant, replace(prior, weights=weights), PRIOR_STRENGTH)


def reach(requests: Requests) -> float:
    """Return the share of what turned out relevant that the pools hold."""
    return max(LEAST_REACH, float(requests.relevant.sum() / requests.truth.counts.sum()))
