"""From features to a calibrated probability of relevance: a logistic model, and its fit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from longtail.server.ranking.evidence import FEATURES
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Beyond this a probability would round to 0 or 1.
MAX_LOG_ODDS = 30.0
# Before the name of a space in that of its feature: the cosine to the nearest interest in it.
OF_SPACE = "space:"
_TEXT = FEATURES.index("text")


@dataclass(frozen=True)
class RelevanceModel:
    """P(relevant) = 1 / (1 + exp(-(intercept + weights . features))).

    `weights` (n,) of the features `names`: FEATURES, and behind them those of spaces where a
    request has any. `spaces`: weights of spaces of the caller's, by name.
    """

    intercept: float
    weights: Floats
    spaces: Mapping[str, float] = field(default_factory=dict)
    names: tuple[str, ...] = FEATURES

    @classmethod
    def of(cls, intercept: float, weights: Mapping[str, float]) -> "RelevanceModel":
        """Return the model with these weights by feature; a feature that is not named has none.

        Raises KeyError that names a weight without a feature.
        """
        values, spaces = np.zeros(len(FEATURES)), dict[str, float]()
        for name, weight in weights.items():
            if name.startswith(OF_SPACE):
                spaces[name.removeprefix(OF_SPACE)] = weight
            elif name not in FEATURES:
                raise KeyError(name)
            else:
                values[FEATURES.index(name)] = weight
        return cls(intercept, values, spaces)

    def within(self, spaces: Sequence[str]) -> "RelevanceModel":
        """Return the model for a request that says something in `spaces` of the caller's, too.

        One without a weight counts as much as the text.
        """
        if not spaces:
            return self
        usual = max(0.0, float(self.weights[_TEXT]))
        return replace(
            self,
            weights=np.append(self.weights, [self.spaces.get(name, usual) for name in spaces]),
            names=(*FEATURES, *(f"{OF_SPACE}{name}" for name in spaces)),
        )

    def probability(self, features: Floats) -> Floats:
        """Return P(relevant) of candidates with `features` (m, n), each in (0, 1)."""
        log_odds = features @ self.weights
        log_odds += self.intercept
        # Bounded so in a fifth of the time that `clip` takes.
        np.minimum(log_odds, MAX_LOG_ODDS, out=log_odds)
        np.maximum(log_odds, -MAX_LOG_ODDS, out=log_odds)
        probability: Floats = 1 / (1 + np.exp(-log_odds))
        return probability

    def terms(self, features: Floats) -> dict[str, float]:
        """Return what the intercept and each feature (n,) with weight add."""
        added = self.weights * features
        weighed = np.flatnonzero(self.weights)
        return {"intercept": self.intercept} | {self.names[at]: float(added[at]) for at in weighed}


def fitted(
    features: Floats, relevant: Floats, prior: RelevanceModel, strength: float | Floats
) -> RelevanceModel:
    """Return the model that makes `relevant` (n,) of 0 and 1 likeliest, held to a prior.

    `features` (n, len(FEATURES)). The penalty is `strength`, of all weights or of each
    (len(FEATURES),), times the squared distance from the prior's, in units of the features'
    deviations; the intercept is free. So little data leaves the prior as it is. Newton's method;
    the problem is convex.

    Raises ValueError without an example of each kind.
    """
    if not 0 < relevant.sum() < len(relevant):
        raise ValueError("the fit needs relevant examples and others")
    mean, deviation = features.mean(axis=0), np.maximum(features.std(axis=0), LEAST_DEVIATION)
    design = np.column_stack((np.ones(len(features)), (features - mean) / deviation))
    held = np.concatenate(([0.0], prior.weights * deviation))
    penalty = np.diag(np.concatenate(([0.0], np.full(len(deviation), strength))))
    rate = relevant.mean()
    values = held.copy()
    values[0] = np.log(rate / (1 - rate))
    for _ in range(MAX_STEPS):
        log_odds = np.clip(design @ values, -MAX_LOG_ODDS, MAX_LOG_ODDS)
        probability = 1 / (1 + np.exp(-log_odds))
        slope = design.T @ (relevant - probability) - penalty @ (values - held)
        curvature = (design * (probability * (1 - probability))[:, None]).T @ design + penalty
        step = np.linalg.solve(curvature, slope)
        # A full step may overshoot far from the optimum.
        values += step / max(1.0, float(np.abs(step).max()) / MAX_STEP)
        if np.abs(step).max() < CONVERGED:
            break
    weights = values[1:] / deviation
    return replace(prior, intercept=float(values[0] - weights @ mean), weights=weights)


# What hardly any example has is held to the prior all the same.
LEAST_DEVIATION = 0.05
MAX_STEPS, MAX_STEP, CONVERGED = 100, 2.0, 1e-8
