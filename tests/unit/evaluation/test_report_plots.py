import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evaluation.report.document import document
from evaluation.report.figures import PAIRS
from evaluation.report.findings import our_method
from evaluation.report.page import page
from evaluation.report.pictures import DIAL, RELIABILITY, pareto_name, plotted
from evaluation.report.results import Comparison, MethodResult, Point, Report
from evaluation.significance import Estimate
from tests.unit.evaluation.invented_report import invented_report

pytest.importorskip("matplotlib")

from evaluation.report import folder
from evaluation.report.dial_plot import dial_plot
from evaluation.report.pareto_plot import pareto_plot
from evaluation.report.plots import plots
from evaluation.report.reliability_plot import reliability_plot

PNG = b"\x89PNG\r\n\x1a\n"


def legend(comparison: Comparison, report: Report) -> list[str]:
    figure = pareto_plot(comparison, PAIRS[0], report.protocol)
    return [entry.get_text() for entry in figure.legends[0].get_texts()]


def without_a_hit(comparison: Comparison) -> Comparison:
    """Return the comparison with an NDCG of zero and no other metric, whoever ranks."""
    nothing = dict.fromkeys(comparison.base, math.nan) | {"ndcg": 0.0}
    methods = tuple(
        replace(each, curve=tuple(replace(point, metrics=nothing) for point in each.curve))
        for each in comparison.methods
    )
    return replace(comparison, base=nothing, methods=methods)


@pytest.mark.slow
def test_every_picture_of_the_page_is_drawn() -> None:
    report = invented_report(methods=2, ks=2)
    drawn = plots(report)
    pareto = {pareto_name(each, pair) for each in plotted(report) for pair in PAIRS}
    assert set(drawn) == pareto | {DIAL, RELIABILITY}
    assert all(picture.startswith(PNG) for picture in drawn.values())
    assert len(set(drawn.values())) == len(drawn)


def test_ours_and_the_strongest_rivals_are_named_and_the_others_counted() -> None:
    report = invented_report(methods=20)
    comparison = report.comparisons[0]
    # Ours is first; then each method is followed by its variant, every second one the better.
    sizes = [
        0.5,
        *(
            value / 100
            for pair in range(10)
            for value in (40 - 3 * pair, 39 - 3 * pair + 2 * (pair % 2))
        ),
    ]
    methods = [
        replace(each, hypervolume={**each.hypervolume, PAIRS[0].name: Estimate(size, 0, 1)})
        for each, size in zip(comparison.methods, sizes, strict=False)
    ]
    entries = legend(replace(comparison, methods=(*methods, *comparison.methods[21:])), report)
    better = [max(methods[place : place + 2], key=size) for place in range(1, 21, 2)]
    named = [methods[0], *sorted(better, key=size, reverse=True)[:6]]
    assert entries[:7] == [f"{each.name} · {size(each):.5f}" for each in named]
    assert len({each.variant_of or each.name for each in named}) == 7
    assert {each.variant_of is None for each in named[1:]} == {True, False}
    assert "14 others" in entries
    assert "5 % of NDCG lost" in entries
    assert not any(entry.startswith("without") for entry in entries)


def size(method: MethodResult) -> float:
    return method.hypervolume[PAIRS[0].name].value


def test_the_shade_is_what_the_rivals_dominate() -> None:
    report = invented_report(methods=2)
    comparison = report.comparisons[0]
    ours, *others = comparison.methods
    places = [(0.11, 0.2), (0.10, 0.5), (0.09, 0.4), (0.02, 0.9)]
    curve = tuple(
        Point(dial, {**comparison.base, "ndcg": ndcg, "aplt": aplt})
        for dial, (ndcg, aplt) in enumerate(places)
    )
    comparison = replace(
        comparison, methods=(ours, *(replace(other, curve=curve) for other in others))
    )
    figure = pareto_plot(comparison, PAIRS[0], report.protocol)
    (shade,) = (
        each for each in figure.axes[0].collections if each.get_label() == "baselines' front"
    )
    corners = np.asarray(shade.get_paths()[0].vertices)
    inside = shade.get_paths()[0].contains_point
    assert inside((0.105, 0.19))
    assert not inside((0.105, 0.21))
    # Behind a better point a worse one hides; left of where hypervolumes count nothing is shaded.
    assert inside((0.085, 0.49))
    assert not inside((0.085, 0.51))
    assert corners[:, 0].min() == pytest.approx(0.7 * comparison.base["ndcg"])


def test_the_dial_is_drawn_as_promised_and_measured() -> None:
    comparisons = plotted(invented_report())
    promise, cost, gain = dial_plot(comparisons).axes
    for number, comparison in enumerate(comparisons):
        curve = our_method(comparison).curve
        lost = [100 * (1 - point.metrics["ndcg"] / comparison.base["ndcg"]) for point in curve]
        drawn = next(
            line for line in promise.lines if line.get_label() == f"{comparison.regime} scores"
        )
        promised = [100 * (point.promised_loss or 0) for point in curve]
        assert np.asarray(drawn.get_xdata()) == pytest.approx(promised)
        assert np.asarray(drawn.get_ydata()) == pytest.approx(lost)
        assert np.asarray(cost.lines[number].get_ydata()) == pytest.approx(lost)
        tail = [point.metrics["aplt"] for point in curve]
        assert np.asarray(gain.lines[number].get_ydata()) == pytest.approx(tail)


def test_the_deciles_are_drawn() -> None:
    rows = invented_report().reliability
    observed, predicted = reliability_plot(rows).axes[0].lines
    assert np.asarray(observed.get_ydata()) == pytest.approx([row.observed for row in rows])
    assert np.asarray(predicted.get_ydata()) == pytest.approx([row.predicted for row in rows])


def test_data_without_a_hit_are_drawn_too() -> None:
    report = invented_report()
    comparison = without_a_hit(report.comparisons[0])
    for pair in PAIRS[:2]:
        pareto_plot(comparison, pair, report.protocol).canvas.draw()
    dial_plot((comparison,)).canvas.draw()


def drawn_from(report: Report) -> dict[str, bytes]:
    """Stand in for the plots, which take seconds."""
    return {DIAL: f"drawn from {report.comparisons[0].base}".encode()}


def test_a_folder_holds_the_whole_report_and_nothing_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "plots", drawn_from)
    report = invented_report()
    place = tmp_path / "new" / "report"
    folder.write(invented_report(seed=1), place)
    folder.write(report, place)
    assert {path.name for path in place.iterdir()} == {"report.json", "index.html", DIAL}
    assert json.loads((place / "report.json").read_text()) == document(report)
    assert (place / DIAL).read_bytes() == drawn_from(report)[DIAL]
    assert (place / "index.html").read_text() == page(report, drawn_from(report))


def test_a_failure_leaves_the_report_of_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "plots", drawn_from)
    folder.write(invented_report(), tmp_path)
    before = (tmp_path / "report.json").read_bytes()

    def half(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[:10])
        raise OSError(f"no space left for {path.name}")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(OSError, match=r"no space left for \.report\.json\.part"):
        folder.write(invented_report(seed=1), tmp_path)
    assert (tmp_path / "report.json").read_bytes() == before
