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

# Holm's correction of some sixty comparisons needs thousands of resamples; coverage, which has no
# mean over users, is resampled less.
REPLICATES, COVERAGE_REPLICATES = 5_000, 200
# Hypervolumes are told times a hundred.
SCALE = 100.0


@dataclass(frozen=True)
class _Resampled:
    """What is needed of a sweep for intervals: NDCG and other metrics, each (1 + B, P).

    Coverage has fewer resamples, and with it its own NDCG and base.
    """

    ndcg: Floats
    base: Floats
    others: dict[str, Floats]
    coverage: Floats
    coverage_ndcg: Floats
    coverage_base: Floats

    def of(self, metric: Metric) -> tuple[Floats, Floats, Floats]:
        """Return NDCG, the metric and the base's NDCG (1 + B,), of the same resamples."""
        if metric.name == "coverage":
            return self.coverage_ndcg, self.coverage, self.coverage_base
        return self.ndcg, self.others[metric.name], self.base


class Comparer:
    """Compares sweeps over the same requests, on the same resamples of their people."""

    def __init__(self, base: Sweep, items: int, seed: int) -> None:
        users = base.by_user["ndcg"].shape[1]
        self._items = items
        self._base = base
        self._many = UserBootstrap(users, replicates=REPLICATES, seed=seed)
        self._few = UserBootstrap(users, replicates=COVERAGE_REPLICATES, seed=seed)
        self._base_ndcg = self._many.means(base.by_user["ndcg"])[:, 0]
        self._base_few = self._few.means(base.by_user["ndcg"])[:, 0]

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
        means = {name: self._many.means(values) for name, values in sweep.by_user.items()}
        return _Resampled(
            ndcg=means["ndcg"],
            base=self._base_ndcg,
            others=means,
            coverage=self._few.coverage(sweep.shown, self._items),
            coverage_ndcg=self._few.means(sweep.by_user["ndcg"]),
            coverage_base=self._base_few,
        )

    def _best(self, metric: Metric, sweep: Sweep, resampled: _Resampled) -> Best:
        measured = np.array([metrics[metric.name] for metrics in sweep.overall])
        if metric.name == "gini":
            # It is no mean over users and has no resamples: its value alone is told.
            ndcg, values, base = resampled.ndcg[:1], measured[None], resampled.base[:1]
        else:
            ndcg, values, base = resampled.of(metric)
        best = best_within_loss(ndcg, values, base, lowest=metric.lowest)
        if np.isnan(best[0]):
            return Best(Estimate(np.nan, np.nan, np.nan), np.nan)
        # Of dials with the same value the one with the highest NDCG is within the loss.
        place = np.argmax(np.where(values[0] == best[0], ndcg[0], -np.inf))
        return Best(estimate(best), sweep.dials[int(place)])


def _hypervolume(pair: Pair, resampled: _Resampled) -> Floats:
    ndcg, values, base = resampled.of(pair.metric)
    heights = 1 - values if pair.metric.lowest else values
    volume: Floats = SCALE * curve_hypervolume(ndcg, heights, base)
    return volume
