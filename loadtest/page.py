"""The report as one HTML page with its plots, which needs nothing beside itself and no network."""

import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import jinja2
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from loadtest.measurements import PERCENTILES
from loadtest.trial import Json

_SIZE = (9.0, 3.2)
_COLOURS = ("#1F6FB4", "#C8553D", "#4C956C", "#8E6C8A")


def page(report: Json) -> str:
    """Return the page of a report, as `python -m loadtest` writes it as JSON."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    trials = report["trials"]
    # Of a search the last trial at the rate that was found stands for it.
    shown = next(
        (each for each in reversed(trials) if each["offered_rate"] == report.get("rate")),
        trials[-1],
    )
    return environment.get_template("page.html.jinja").render(
        report=report,
        shown=shown,
        headings=[*(f"p{percent:g}" for percent in PERCENTILES), "max"],
        over_time=_over_time(shown),
        curve=_curve(shown),
        rates=_rates(trials) if report["kind"] == "search" else "",
        processes=_processes(shown),
    )


def _over_time(trial: Json) -> Markup:
    moments = trial["timeline"]
    seconds = [each["second"] for each in moments]
    figure = Figure(_SIZE, layout="constrained")
    latency, rate = figure.subplots(1, 2)
    for name, colour in zip(("p50_ms", "p99_ms"), _COLOURS, strict=False):
        _line(latency, seconds, [each[name] for each in moments], name.removesuffix("_ms"), colour)
    for name, colour in zip(("offered", "answered"), _COLOURS, strict=False):
        _line(rate, seconds, [each[name] for each in moments], name, colour)
    _labelled(latency, "seconds", "latency, ms")
    _labelled(rate, "seconds", "requests/s")
    return _svg(figure)


def _curve(trial: Json) -> Markup:
    """Draw latency by percentile, an equal step for each nine."""
    points = [(percent, value) for percent, value in trial["curve_ms"] if percent < 100]
    figure = Figure(_SIZE, layout="constrained")
    axes = figure.subplots()
    places = [1 / (1 - percent / 100) for percent, _ in points]
    _line(axes, places, [value for _, value in points], "latency", _COLOURS[0])
    axes.set_xscale("log")
    axes.set_xticks(places, [f"{percent:g}" for percent, _ in points], rotation=45)
    axes.minorticks_off()
    _labelled(axes, "percentile of all that was offered", "ms")
    return _svg(figure)


def _rates(trials: Sequence[Json]) -> Markup:
    figure = Figure(_SIZE, layout="constrained")
    axes = figure.subplots()
    ordered = sorted(trials, key=lambda each: float(each["offered_rate"]))
    offered = [each["offered_rate"] for each in ordered]
    for name, colour in zip(("p50", "p99"), _COLOURS, strict=False):
        _line(axes, offered, [each["latency_ms"][name] for each in ordered], name, colour, "o")
    axes.set_yscale("log")
    _labelled(axes, "offered requests/s", "latency, ms")
    return _svg(figure)


def _processes(trial: Json) -> Markup:
    figure = Figure(_SIZE, layout="constrained")
    cpus, memory = figure.subplots(1, 2)
    for (name, taken), colour in zip(trial["processes"].items(), _COLOURS, strict=False):
        moments = [each[0] for each in taken["samples"]]
        _line(cpus, moments, [each[1] for each in taken["samples"]], name, colour)
        _line(memory, moments, [each[2] for each in taken["samples"]], name, colour)
    _labelled(cpus, "seconds", "CPUs")
    _labelled(memory, "seconds", "memory, MB")
    return _svg(figure)


def _line(
    axes: Axes,
    across: Sequence[float],
    up: Iterable[float | None],
    name: str,
    colour: str,
    marker: str = "",
) -> None:
    # What was never answered leaves a gap.
    heights = [float("nan") if each is None else each for each in up]
    axes.plot(across, heights, label=name, color=colour, marker=marker, linewidth=1.4)


def _labelled(axes: Axes, across: str, up: str) -> None:
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#E4E4E4", linewidth=0.6)
    axes.legend(frameon=False)


def _svg(figure: Figure) -> Markup:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg")
    drawn = buffer.getvalue()
    # Drawn by us, of numbers and names of our own.
    return Markup(drawn[drawn.index("<svg") :])  # noqa: S704
