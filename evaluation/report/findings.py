"""Where our method stands among the others: read off the results, whichever way they went."""

import math
from dataclasses import dataclass
from enum import StrEnum

from evaluation.report.figures import LOSS_METRICS, PAIRS, Metric, Pair
from evaluation.report.results import Comparison, MethodResult, Point
from evaluation.significance import Difference, Estimate
from evaluation.task import Family


class Verdict(StrEnum):
    """What the intervals allow to say of ours against another method."""

    AHEAD = "ahead"
    EVEN = "not told apart"
    BEHIND = "behind"


@dataclass(frozen=True)
class Rival:
    """Another method by one figure; `better`: its value is, whether or not that can be told apart.

    `difference`: ours minus it, None for a figure of which no paired difference was taken.
    """

    name: str
    estimate: Estimate
    difference: Difference | None
    verdict: Verdict
    better: bool


@dataclass(frozen=True)
class Standing:
    """Ours by one figure, and the rivals that have a value, from the best on."""

    figure: Pair | Metric
    ours: Estimate
    rivals: tuple[Rival, ...]

    @property
    def winners(self) -> tuple[Rival, ...]:
        """The rivals whose value is better than ours."""
        return tuple(rival for rival in self.rivals if rival.better)

    @property
    def beaten(self) -> int:
        """Of how many rivals ours is ahead."""
        return sum(rival.verdict is Verdict.AHEAD for rival in self.rivals)


def our_method(comparison: Comparison) -> MethodResult:
    """Return the result of the method that the others are compared with."""
    return next(method for method in comparison.methods if method.name == comparison.ours)


def rivals(comparison: Comparison) -> tuple[MethodResult, ...]:
    """Return the published methods, those of outside packages among them."""
    families = (Family.BASELINE, Family.OUTSIDE)
    return tuple(method for method in comparison.methods if method.family in families)


def loss(point: Point, comparison: Comparison) -> float:
    """Return the share of the base's NDCG that the point loses; NaN where there is none to lose."""
    base = comparison.base["ndcg"]
    return 1 - point.metrics["ndcg"] / base if base else math.nan


def by_hypervolume(comparison: Comparison, pair: Pair) -> Standing:
    """Return the standing by hypervolume: ahead or behind as the paired difference says."""
    differences = comparison.differences[pair.name]

    def against(name: str, estimate: Estimate) -> Rival:
        difference = differences[name]
        verdict = _side(difference.estimate)
        return Rival(name, estimate, difference, verdict, difference.estimate.value < 0)

    found = [against(method.name, method.hypervolume[pair.name]) for method in rivals(comparison)]
    found.sort(key=lambda rival: -rival.estimate.value)
    return Standing(pair, our_method(comparison).hypervolume[pair.name], tuple(found))


def by_best(comparison: Comparison, metric: Metric) -> Standing:
    """Return the standing by the best value within the allowed loss.

    There is no paired difference to go by: two are told apart where neither value is within the
    interval of the other. Methods of which every point loses too much are no rivals.
    """
    ours = our_method(comparison).best[metric.name].estimate
    sign = -1 if metric.lowest else 1

    def against(name: str, theirs: Estimate) -> Rival:
        # A NaN of ours, without a point that may be chosen, is behind every value.
        better = not sign * ours.value >= sign * theirs.value
        even = _holds(ours, theirs.value) or _holds(theirs, ours.value)
        apart = Verdict.BEHIND if better else Verdict.AHEAD
        return Rival(name, theirs, None, Verdict.EVEN if even else apart, better)

    estimates = {method.name: method.best[metric.name].estimate for method in rivals(comparison)}
    found = [
        against(name, estimate)
        for name, estimate in estimates.items()
        if not math.isnan(estimate.value)
    ]
    found.sort(key=lambda rival: -sign * rival.estimate.value)
    return Standing(metric, ours, tuple(found))


def standings(comparison: Comparison) -> tuple[Standing, ...]:
    """Return where ours stands by every figure."""
    return (
        *(by_hypervolume(comparison, pair) for pair in PAIRS),
        *(by_best(comparison, metric) for metric in LOSS_METRICS),
    )


def _side(difference: Estimate) -> Verdict:
    if difference.low > 0:
        return Verdict.AHEAD
    return Verdict.BEHIND if difference.high < 0 else Verdict.EVEN


def _holds(estimate: Estimate, value: float) -> bool:
    return estimate.low <= value <= estimate.high
