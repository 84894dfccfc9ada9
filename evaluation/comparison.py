"""From the sweeps of all methods in one regime to how they compare."""

from collections.abc import Sequence
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


class Comparer:
    """Compares sweeps over the same requests, on the same resamples of their people."""

    def __init__(self, base: Sweep, items: int, seed: int) -> None:
        users = base.by_user["ndcg"].shape[1]
        self._items = items
        self._base = base
        self._bootstrap = UserBootstrap(users, replicates=REPLICATES, seed=seed)
        self._base_ndcg = self._bootstrap.means(base.by_user["ndcg"])[:, 0]

    def comparison(
        self, regime: str, k: int, ours: Sweep, sweeps: Sequence[Sweep], promised: Sequence[float]
    ) -> Comparison:
        """Compare `ours` with each other one; `promised`: the loss that each of our dials names."""
        results, volumes = [], {pair.name: dict[str, Floats]() for pair in PAIRS}
        for sweep in sweeps:
            resampled = self._resampled(sweep)
            for pair in PAIRS:
                volumes[pair.name][sweep.name] = _hypervolume(pair, resampled)
            losses = promised if sweep.family is Family.LONGTAIL else [None] * len(sweep.dials)
            points = zip(sweep.dials, sweep.overall, losses, strict=True)
            results.append(
                MethodResult(
                    name=sweep.name,
                    family=sweep.family,
                    curve=tuple(Point(dial, metrics, loss) for dial, metrics, loss in points),
                    hypervolume={
                        name: estimate(by_method[sweep.name]) for name, by_method in volumes.items()
                    },
                    best={
                        metric.name: self._best(metric, sweep, resampled) for metric in LOSS_METRICS
                    },
                    variant_of=sweep.variant_of,
                )
            )
        return Comparison(
            regime=regime,
            k=k,
            base=self._base.overall[0],
            ours=ours.name,
            methods=tuple(results),
            differences={
                name: compare(
                    by_method[ours.name],
                    {other: volume for other, volume in by_method.items() if other != ours.name},
                )
                for name, by_method in volumes.items()
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
