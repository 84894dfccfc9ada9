import math

import pytest

from evaluation.report.figures import APLT, PAIRS, UPD, Metric
from evaluation.report.findings import (
    Verdict,
    by_best,
    by_hypervolume,
    loss,
    standings,
)
from evaluation.report.results import Best, Comparison, MethodResult, Point
from evaluation.significance import Difference, Estimate
from evaluation.task import Family
from tests.unit.evaluation.invented_report import invented_report

PAIR = PAIRS[0]


def compared(
    ours: float, others: dict[str, tuple[float, float]], *, spread: float = 0.1, base: float = 0.5
) -> Comparison:
    """Return a comparison in which all figures of a method are one number.

    `others`: that number of each rival, and the half-width of the interval of its difference.
    """

    def method(name: str, family: Family, value: float) -> MethodResult:
        estimate = Estimate(value, value - spread, value + spread)
        return MethodResult(
            name,
            family,
            curve=(Point(0, {"ndcg": base}),),
            hypervolume={PAIR.name: estimate},
            best={metric.name: Best(estimate, 0) for metric in (APLT, UPD)},
        )

    differences = {
        name: Difference(Estimate(ours - value, ours - value - width, ours - value + width), 0.1, 1)
        for name, (value, width) in others.items()
    }
    return Comparison(
        regime="raw",
        k=10,
        base={"ndcg": base},
        ours="ours",
        methods=(
            method("ours", Family.LONGTAIL, ours),
            method("without", Family.ABLATION, 99),
            *(method(name, Family.BASELINE, value) for name, (value, _) in others.items()),
        ),
        differences={PAIR.name: differences},
    )


def test_the_best_baseline_comes_first_and_an_ablation_is_none() -> None:
    comparison = compared(5, {"low": (1, 0), "high": (4, 0), "middle": (2, 0)})
    assert [rival.name for rival in by_hypervolume(comparison, PAIR).rivals] == [
        "high",
        "middle",
        "low",
    ]
    assert [rival.name for rival in by_best(comparison, UPD).rivals] == ["low", "middle", "high"]


@pytest.mark.parametrize(
    ("theirs", "width", "verdict", "better"),
    [
        (4, 0.9, Verdict.AHEAD, False),
        (4, 1.1, Verdict.EVEN, False),
        (6, 1.1, Verdict.EVEN, True),
        (6, 0.9, Verdict.BEHIND, True),
        (5, 0.0, Verdict.EVEN, False),
    ],
)
def test_a_hypervolume_is_judged_by_the_paired_difference(
    theirs: float, width: float, verdict: Verdict, better: bool
) -> None:
    # The intervals of the two alone overlap always.
    standing = by_hypervolume(compared(5, {"theirs": (theirs, width)}, spread=50), PAIR)
    assert (standing.rivals[0].verdict, standing.rivals[0].better) == (verdict, better)
    assert [rival.name for rival in standing.winners] == (["theirs"] if better else [])
    assert standing.beaten == (verdict is Verdict.AHEAD)


@pytest.mark.parametrize(
    ("theirs", "verdict", "better"),
    [
        (0.2, Verdict.AHEAD, False),
        (0.45, Verdict.EVEN, False),
        (0.55, Verdict.EVEN, True),
        (0.8, Verdict.BEHIND, True),
    ],
)
def test_a_best_value_is_judged_by_the_intervals(
    theirs: float, verdict: Verdict, better: bool
) -> None:
    comparison = compared(0.5, {"theirs": (theirs, 0)})
    (rival,) = by_best(comparison, APLT).rivals
    assert (rival.verdict, rival.better, rival.difference) == (verdict, better, None)
    # Of what is to be low, the same values say the contrary.
    (rival,) = by_best(comparison, UPD).rivals
    mirrored = {Verdict.AHEAD: Verdict.BEHIND, Verdict.BEHIND: Verdict.AHEAD}
    assert (rival.verdict, rival.better) == (mirrored.get(verdict, verdict), not better)


def test_who_has_no_value_is_no_rival() -> None:
    standing = by_best(compared(0.5, {"lost": (math.nan, 0), "there": (0.2, 0)}), APLT)
    assert [rival.name for rival in standing.rivals] == ["there"]


@pytest.mark.parametrize("metric", [APLT, UPD])
def test_ours_without_a_value_is_behind_all(metric: Metric) -> None:
    standing = by_best(compared(math.nan, {"there": (0.2, 0)}), metric)
    assert standing.rivals[0].verdict is Verdict.BEHIND
    assert standing.winners == standing.rivals


def test_a_loss_is_a_share_of_the_base() -> None:
    comparison = compared(1, {}, base=0.4)
    assert loss(Point(0, {"ndcg": 0.3}), comparison) == pytest.approx(0.25)
    assert math.isnan(loss(Point(0, {"ndcg": 0.0}), compared(1, {}, base=0.0)))


def test_every_figure_has_a_standing() -> None:
    figures = [standing.figure.label for standing in standings(invented_report().comparisons[0])]
    assert figures[:4] == ["NDCG × APLT", "NDCG × tail recall", "NDCG × coverage", "NDCG × 1 − UPD"]
    assert figures[4:] == ["APLT", "tail recall", "coverage", "UPD", "Gini"]
