"""The report as one page for people, which needs nothing beside itself and no network."""

import base64
from collections.abc import Mapping
from pathlib import Path

import jinja2

from evaluation.report import numerals
from evaluation.report.figures import LOSS_METRICS, PAIRS
from evaluation.report.findings import our_method, rivals, standings
from evaluation.report.pictures import DIAL, RELIABILITY, pareto_name, plotted
from evaluation.report.results import Comparison, MethodResult, Report
from evaluation.task import Family

# Said by people in this order; the metrics that are not here come after.
METRIC_ORDER = ("ndcg", "recall", "mrr", "tail_recall", "snips", "aplt", "coverage", "gini", "upd")


def page(report: Report, pictures: Mapping[str, bytes]) -> str:
    """Return the HTML page.

    `pictures`: PNG by the names of `evaluation.report.pictures`; one that is missing is left out
    with what is said about it.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "plain": numerals.plain,
        "area": numerals.area,
        "short": numerals.short,
        "percent": numerals.percent,
        "interval": numerals.interval,
        "area_interval": numerals.area_interval,
        "probability": numerals.probability,
    }
    return environment.get_template("page.html.jinja").render(
        report=report,
        standings=[(comparison, standings(comparison)) for comparison in report.comparisons],
        tables=[(comparison, *_tables(comparison)) for comparison in report.comparisons],
        metrics=_metrics(report),
        plotted=plotted(report),
        pairs=PAIRS,
        loss_metrics=LOSS_METRICS,
        pictures={name: _data_uri(picture) for name, picture in pictures.items()},
        pareto_name=pareto_name,
        dial_picture=DIAL,
        reliability_picture=RELIABILITY,
    )


def _tables(comparison: Comparison) -> tuple[list[MethodResult], list[MethodResult]]:
    """Return the rows of the table of methods and of that of ablations: the largest area first."""
    ours = our_method(comparison)
    ablations = [method for method in comparison.methods if method.family is Family.ABLATION]

    def size(method: MethodResult) -> float:
        return -method.hypervolume[PAIRS[0].name].value

    return sorted((ours, *rivals(comparison)), key=size), [ours, *sorted(ablations, key=size)]


def _metrics(report: Report) -> list[str]:
    """Return the names of all metrics."""
    names = dict.fromkeys(name for comparison in report.comparisons for name in comparison.base)
    first = [name for name in METRIC_ORDER if name in names]
    return first + [name for name in names if name not in first]


def _data_uri(picture: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(picture).decode()}"
