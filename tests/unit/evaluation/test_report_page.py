import base64
import html
import math
import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from evaluation.report import numerals
from evaluation.report.document import document
from evaluation.report.figures import LOSS_METRICS, PAIRS
from evaluation.report.page import page
from evaluation.report.pictures import DIAL, RELIABILITY, pareto_name, plotted
from evaluation.report.results import Comparison, MethodResult, Report
from evaluation.significance import Difference, Estimate
from tests.unit.evaluation.invented_report import invented_report


def text(markup: str) -> str:
    """Return what a reader sees, one piece a line."""
    body = re.sub(r"(?s)<style>.*?</style>|<[^>]*>", "\n", markup)
    return html.unescape(body)


def section(markup: str, name: str) -> str:
    return markup.split(f'<h2 id="{name}">')[1].split("<h2")[0]


def leaves(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from leaves(each)
    else:
        yield value


def with_hypervolumes(report: Report, ours: float, theirs: float) -> Report:
    """Return the report with one hypervolume of ours and one of all others everywhere."""

    def method(comparison: Comparison, each: MethodResult) -> MethodResult:
        value = ours if each.name == comparison.ours else theirs
        estimate = Estimate(value, value - 0.01, value + 0.01)
        best = each.best
        if each.name != comparison.ours:
            nowhere = Estimate(math.nan, math.nan, math.nan)
            best = {name: replace(was, estimate=nowhere) for name, was in best.items()}
        return replace(each, hypervolume=dict.fromkeys(each.hypervolume, estimate), best=best)

    apart = Difference(Estimate(ours - theirs, ours - theirs - 0.01, ours - theirs + 0.01), 0.1, 1)
    return replace(
        report,
        comparisons=tuple(
            replace(
                comparison,
                methods=tuple(method(comparison, each) for each in comparison.methods),
                differences={
                    pair: dict.fromkeys(others, apart)
                    for pair, others in comparison.differences.items()
                },
            )
            for comparison in report.comparisons
        ),
    )


def test_every_decimal_on_the_page_is_one_of_the_report() -> None:
    report = invented_report(ks=2)
    known = set[str]()
    for leaf in leaves(document(report)):
        if isinstance(leaf, float):
            known |= {numerals.plain(leaf), numerals.area(leaf), numerals.short(leaf)}
            known |= {f"{leaf:,.1f}", f"{leaf:.4f}", numerals.percent(leaf).removesuffix(" %")}
        elif isinstance(leaf, str):
            known |= set(re.findall(r"[\d.]+\.\d+", leaf))
    found = re.findall(r"−?\d[\d,.]*\.\d+(?:e-\d+)?", text(page(report, {})))
    assert len(found) > 500
    assert set(found) - known == set()


def test_every_method_is_there_with_its_figures() -> None:
    report = invented_report()
    seen = text(page(report, {}))
    for comparison in report.comparisons:
        for method in comparison.methods:
            assert method.name in seen
            for pair in PAIRS:
                assert numerals.area(method.hypervolume[pair.name].value) in seen
                assert numerals.area_interval(method.hypervolume[pair.name]) in seen
            for metric in LOSS_METRICS:
                assert numerals.plain(method.best[metric.name].estimate.value) in seen
        for others in comparison.differences.values():
            for difference in others.values():
                assert numerals.area_interval(difference.estimate) in seen
                assert numerals.probability(difference) in seen


def test_facts_of_the_run_are_there() -> None:
    report = invented_report()
    seen = text(page(report, {}))
    for fact in (
        "9,742",
        "100,836",
        "interactions left out: unreadable rating",
        "1,604",
        report.provenance.command,
        report.provenance.encoder,
        report.provenance.profile,
        report.notes[0],
        "2.2e-16",
        "310.5 s",
    ):
        assert fact in seen


def test_who_wins_is_computed() -> None:
    report = invented_report()
    behind = text(section(page(with_hypervolumes(report, 0.2, 0.3), {}), "wins"))
    assert "behind" in behind
    assert "FA*IR 0.30000" in behind
    ahead = text(section(page(with_hypervolumes(report, 0.3, 0.2), {}), "wins"))
    assert "In none of the figures" in ahead
    assert "FA*IR" not in ahead


def test_the_claim_follows_the_interval() -> None:
    report = invented_report()
    for theirs, verdict in ((0.2, "ahead"), (0.295, "not told apart"), (0.4, "behind")):
        claims = section(page(with_hypervolumes(report, 0.3, theirs), {}), "claims")
        verdicts = set(re.findall(r'<span class="verdict \w+">([^<]*)', claims))
        assert verdicts == {verdict}
        assert "no baseline has a value" in claims


def test_names_and_texts_are_escaped() -> None:
    report = invented_report()
    name = "<b>&'bold'\""
    comparison = report.comparisons[0]
    rival = comparison.methods[1]
    report = replace(
        report,
        data=replace(report.data, name=name, dropped_items={name: 1}),
        provenance=replace(report.provenance, command=name, packages={name: name}),
        notes=(name,),
        comparisons=(
            replace(
                comparison,
                methods=(
                    comparison.methods[0],
                    replace(rival, name=name),
                    *comparison.methods[2:],
                ),
                differences={
                    pair: {(name if each == rival.name else each): d for each, d in others.items()}
                    for pair, others in comparison.differences.items()
                },
            ),
        ),
    )
    markup = page(report, {})
    assert "<b>" not in markup
    assert "&'" not in markup
    assert text(markup).count(name) >= 8


def test_pictures_are_within_the_page_and_nothing_is_fetched() -> None:
    report = invented_report(ks=2)
    names = [pareto_name(each, pair) for each in plotted(report) for pair in PAIRS]
    pictures = {name: name.encode() for name in (*names, DIAL, RELIABILITY)}
    markup = page(report, pictures)
    sources = re.findall(r'src="([^"]*)"', markup)
    prefix = "data:image/png;base64,"
    shown = [base64.b64decode(source.removeprefix(prefix)).decode() for source in sources]
    assert sorted(shown) == sorted(pictures)
    assert all(href.startswith("#") for href in re.findall(r'href="([^"]*)"', markup))
    assert not re.search(r"https?:|<script|<link|@import|url\(", markup)


def test_without_pictures_none_is_spoken_of() -> None:
    assert "<img" not in page(invented_report(), {})


def test_the_shortest_lists_are_drawn_in_every_regime() -> None:
    drawn = plotted(invented_report(ks=2))
    assert [(each.regime, each.k) for each in drawn] == [("raw", 10), ("calibrated", 10)]


@pytest.mark.parametrize(
    ("write", "value", "written"),
    [
        (numerals.plain, 0.12345, "0.1235"),
        (numerals.plain, -0.5, "−0.5000"),
        (numerals.plain, 1234.56, "1,234.6"),
        (numerals.plain, math.nan, "–"),
        (numerals.plain, None, "–"),
        (numerals.area, 0.001234, "0.00123"),
        (numerals.area, math.nan, "–"),
        (numerals.short, 0.5, "0.5"),
        (numerals.short, 1.5e-16, "1.5e-16"),
        (numerals.percent, 0.025, "2.5 %"),
        (numerals.interval, Estimate(0, -0.1, 0.1), "[−0.1000, 0.1000]"),
        (numerals.interval, Estimate(0, math.nan, 0.1), "–"),
    ],
)
def test_a_number_is_written_for_people(write: object, value: object, written: str) -> None:
    assert callable(write)
    assert write(value) == written


def test_the_recommenders_underneath_are_shown_the_best_first() -> None:
    shown = text(section(page(invented_report(), {}), "underneath"))
    places = [shown.rindex(name) for name in ("Longtail, fitted", "EASE\n", "item-kNN")]
    assert places == sorted(places)
    for told in ("604", "43.21 %", "lambda 300", "neighbours 50", "−0.0150", "<too large>"):
        assert told in shown


def test_what_dials_promise_and_queries_reach_is_shown() -> None:
    markup = page(invented_report(), {})
    promises = text(section(markup, "promises"))
    for told in ("Longtail, fitted, lists of 10", "16 %", "8 %", "0.1280", "[0.1120, 0.1440]"):
        assert told in promises
    queries = text(section(markup, "queries"))
    for told in ("604 queries", "EASE", "Longtail, default profile, lists of 10"):
        assert told in queries


def test_a_folder_without_queries_has_no_word_of_them() -> None:
    markup = page(replace(invented_report(), queries=None), {})
    assert 'id="queries"' not in markup
    assert "#queries" not in markup
