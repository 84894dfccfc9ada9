"""From the sweeps of all methods in one regime to how they compare."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.report.figures import LOSS_METRICS, PAIRS, Metric, Pair
from evaluation.report.results import Best, Comparison, MethodResult, Point
from evaluation.significance import (
    Estimate,
    UserBootstrap,
    best_within_loss,
    compare,
    curve_hypervolume,
    estimate,
)
from evaluation.sweep import Sweep
from evaluation.task import Family, Floats

# Holm's correction of some sixty comparisons needs thousands of resamples.
REPLICATES = 5_000
# Hypervolumes are told times a hundred.
SCALE = 100.0


@dataclass(frozen=True)
class _Resampled:
    """For intervals of a sweep: `metrics` (1 + B, P), and the `base`'s NDCG (1 + B,)."""

    metrics: dict[str, Floats]
    base: Floats

    @property
    def ndcg(self) -> Floats:
        """The NDCG, (1 + B, P)."""
        return self.metrics["ndcg"]


@dataclass(frozen=True)
class Measured:
    """A method's result, its hypervolumes (1 + B,) by the name of the pair, and what failed."""

    result: MethodResult
    volumes: Mapping[str, Floats]
    failures: tuple[str, ...]


class Comparer:
    """Compares sweeps over the same requests, on the same resamples of their people.

    `base`: of the method that does not re-rank. `items`: how many the catalogue has.
    """

    def __init__(self, base: Sweep, items: int, seed: int) -> None:
        users = base.by_user["ndcg"].shape[1]
        self._items = items
        self._base = base
        self._bootstrap = UserBootstrap(users, replicates=REPLICATES, seed=seed)
        self._base_ndcg = self._bootstrap.means(base.by_user["ndcg"])[:, 0]

    def measured(self, sweep: Sweep, promised: Sequence[float]) -> Measured:
        """Measure a method; `promised`: the loss that each dial names, if it is ours."""
        resampled = self._resampled(sweep)
        volumes = {pair.name: _hypervolume(pair, resampled) for pair in PAIRS}
        losses = promised if sweep.family is Family.LONGTAIL else [None] * len(sweep.dials)
        points = zip(sweep.dials, sweep.overall, losses, strict=True)
        result = MethodResult(
            name=sweep.name,
            family=sweep.family,
            curve=tuple(Point(dial, metrics, loss) for dial, metrics, loss in points),
            hypervolume={name: estimate(volume) for name, volume in volumes.items()},
            best={metric.name: self._best(metric, sweep, resampled) for metric in LOSS_METRICS},
            variant_of=sweep.variant_of,
        )
        return Measured(result, volumes, sweep.failures)

    def comparison(self, regime: str, k: int, ours: str, methods: Sequence[Measured]) -> Comparison:
        """Compare the method named `ours` with each other one."""
        volumes = {
            pair.name: {each.result.name: each.volumes[pair.name] for each in methods}
            for pair in PAIRS
        }
        return Comparison(
            regime=regime,
            k=k,
            base=self._base.overall[0],
            ours=ours,
            methods=tuple(each.result for each in methods),
            differences={
                name: compare(
                    of_pair[ours],
                    {other: volume for other, volume in of_pair.items() if other != ours},
                )
                for name, of_pair in volumes.items()
            },
        )

    def _resampled(self, sweep: Sweep) -> _Resampled:
        means = {name: self._bootstrap.means(values) for name, values in sweep.by_user.items()}
        coverage = self._bootstrap.coverage(sweep.shown, self._items)
        return _Resampled(means | {"coverage": coverage}, self._base_ndcg)

    def _best(self, metric: Metric, sweep: Sweep, resampled: _Resampled) -> Best:
        measured = np.array([metrics[metric.name] for metrics in sweep.overall])
        if metric.name == "gini":
            # It is no mean over users and has no resamples: its value alone is told.
            ndcg, values, base = resampled.ndcg[:1], measured[None], resampled.base[:1]
        else:
            ndcg, values, base = resampled.ndcg, resampled.metrics[metric.name], resampled.base
        best = best_within_loss(ndcg, values, base, lowest=metric.lowest)
        if np.isnan(best[0]):
            return Best(Estimate(np.nan, np.nan, np.nan), np.nan)
        # Of dials with the same value the one with the highest NDCG is within the loss.
        place = np.argmax(np.where(values[0] == best[0], ndcg[0], -np.inf))
        return Best(estimate(best), sweep.dials[int(place)])


def _hypervolume(pair: Pair, resampled: _Resampled) -> Floats:
    values = resampled.metrics[pair.metric.name]
    heights = 1 - values if pair.metric.lowest else values
    volume: Floats = SCALE * curve_hypervolume(resampled.ndcg, heights, resampled.base)
    return volume
