from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pytest

from evaluation import comparison as comparisons
from evaluation.comparison import SCALE, Comparer
from evaluation.report.figures import LOSS_METRICS, PAIRS
from evaluation.report.results import Comparison, MethodResult
from evaluation.sweep import BY_USER, Sweep
from evaluation.task import Family

USERS, ITEMS, K = 40, 90, 5
DIALS = (0.0, 0.3, 0.6, 1.0)
PROMISED = (0.0, 0.02, 0.05, 0.4)
# NDCG falls with the dial and everything else gets better, by so much for a weak and a strong one.
KEPT = (1.0, 0.97, 0.96, 0.6)


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparisons, "REPLICATES", 300)


@lru_cache
def users() -> np.ndarray:
    return np.random.default_rng(0).uniform(0.1, 0.5, USERS)


def invented(
    name: str,
    skill: float,
    family: Family = Family.BASELINE,
    kept: Sequence[float] = KEPT,
    dials: Sequence[float] = DIALS,
) -> Sweep:
    random = np.random.default_rng(1)
    push = np.linspace(0, skill, len(dials))[:, None]
    noise = random.uniform(0, 0.02, (len(dials), USERS))
    by_user = {
        "ndcg": users() * np.array(kept)[:, None],
        "aplt": 0.1 + 0.6 * push + noise,
        "tail_recall": 0.02 + 0.2 * push + noise,
        "upd": 0.4 - 0.3 * push + noise,
    }
    spread = np.linspace(10, 10 + 70 * skill, len(dials)).astype(int)
    shown = np.stack([random.integers(0, width, (USERS, K)) for width in spread])
    overall = tuple(
        {metric: float(by_user[metric][at].mean()) for metric in BY_USER}
        | {"coverage": len(np.unique(shown[at])) / ITEMS, "gini": 0.9 - 0.5 * float(push[at, 0])}
        for at in range(len(dials))
    )
    return Sweep(name, family, None, tuple(dials), by_user, overall, shown, ())


NONE = invented("none", 0.0, kept=(1.0,), dials=(0.0,))
OURS = invented("Longtail", 0.9, Family.LONGTAIL)


def compared(*others: Sweep, ours: Sweep = OURS) -> Comparison:
    comparer = Comparer(NONE, ITEMS, seed=2)
    methods = [comparer.measured(sweep, PROMISED) for sweep in (ours, NONE, *others)]
    return comparer.comparison("raw", K, ours.name, methods)


def method(comparison: Comparison, name: str) -> MethodResult:
    return next(each for each in comparison.methods if each.name == name)


def test_a_method_is_no_better_than_itself() -> None:
    comparison = compared(invented("twin", 0.9))
    for pair in PAIRS:
        difference = comparison.differences[pair.name]["twin"]
        assert vars(difference.estimate) == {"value": 0.0, "low": 0.0, "high": 0.0}
        assert difference.adjusted == 1
    assert all("Longtail" not in others for others in comparison.differences.values())


def test_a_better_method_has_the_larger_area_and_the_difference_is_that_of_the_areas() -> None:
    comparison = compared(invented("weak", 0.4))
    for pair in PAIRS:
        mine, theirs = (
            method(comparison, name).hypervolume[pair.name] for name in ("Longtail", "weak")
        )
        difference = comparison.differences[pair.name]["weak"]
        assert difference.estimate.value == pytest.approx(mine.value - theirs.value)
        assert mine.value > theirs.value > 0
        assert mine.low <= mine.value <= mine.high
        assert difference.estimate.low > 0
        # Of two comparisons the smaller p-value counts double.
        p_values = [each.p_value for each in comparison.differences[pair.name].values()]
        assert difference.adjusted >= difference.p_value
        assert min(each.adjusted for each in comparison.differences[pair.name].values()) == (
            pytest.approx(2 * min(p_values))
        )


def test_the_area_is_told_times_a_hundred_above_seven_tenths_of_the_base() -> None:
    point = invented("point", 0.5, kept=(0.9,), dials=(0.5,))
    comparison = compared(point)
    base, ndcg = users().mean(), 0.9 * users().mean()
    aplt = point.by_user["aplt"].mean()
    assert SCALE == 100
    assert method(comparison, "point").hypervolume["ndcg x aplt"].value == pytest.approx(
        100 * (ndcg - 0.7 * base) * aplt
    )
    upd = point.by_user["upd"].mean()
    assert method(comparison, "point").hypervolume["ndcg x 1-upd"].value == pytest.approx(
        100 * (ndcg - 0.7 * base) * (1 - upd)
    )


def test_the_best_within_the_loss_is_at_the_strongest_dial_that_keeps_to_it() -> None:
    best = method(compared(), "Longtail").best
    for metric in LOSS_METRICS:
        assert best[metric.name].dial == 0.6, metric.name
        assert best[metric.name].estimate.value == pytest.approx(OURS.overall[2][metric.name])
    # Coverage by place has no resamples of its own.
    assert np.isnan(best["gini"].estimate.low)
    assert best["aplt"].estimate.low <= best["aplt"].estimate.value


def test_a_method_that_always_loses_more_has_no_best() -> None:
    best = method(compared(invented("dear", 0.9, kept=(0.9, 0.8, 0.7, 0.6))), "dear").best
    assert all(np.isnan(each.dial) and np.isnan(each.estimate.value) for each in best.values())


def test_of_two_dials_with_the_same_best_the_one_within_the_loss_is_named() -> None:
    twice = invented("twice", 0.5, kept=(0.8, 0.97), dials=(0.2, 0.7))
    twice.by_user["aplt"][:] = 0.5
    for metrics in twice.overall:
        metrics["aplt"] = 0.5
    best = method(compared(twice), "twice").best["aplt"]
    assert (best.estimate.value, best.dial) == (0.5, 0.7)


def test_only_our_dial_promises_a_loss() -> None:
    comparison = compared(invented("other", 0.4), invented("without text", 0.4, Family.ABLATION))
    assert [point.promised_loss for point in method(comparison, "Longtail").curve] == [*PROMISED]
    for name in ("none", "other", "without text"):
        assert {point.promised_loss for point in method(comparison, name).curve} == {None}


def test_curves_are_those_of_the_sweeps() -> None:
    comparison = compared(invented("other", 0.4))
    assert [each.name for each in comparison.methods] == ["Longtail", "none", "other"]
    assert [point.dial for point in method(comparison, "other").curve] == [*DIALS]
    assert method(comparison, "Longtail").curve[2].metrics == OURS.overall[2]
    assert comparison.base == NONE.overall[0]
    assert (comparison.regime, comparison.k, comparison.ours) == ("raw", K, "Longtail")
