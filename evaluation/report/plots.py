"""All plots of a report, as PNG. Drawn without pyplot, so nothing is left behind between them."""

import io

from matplotlib.figure import Figure

from evaluation.report.dial_plot import dial_plot
from evaluation.report.figures import PAIRS
from evaluation.report.pareto_plot import pareto_plot
from evaluation.report.pictures import DIAL, RELIABILITY, pareto_name, plotted
from evaluation.report.reliability_plot import reliability_plot
from evaluation.report.results import Report

DOTS_PER_INCH = 130


def plots(report: Report) -> dict[str, bytes]:
    """Return the PNG of each picture by the name of its file."""
    comparisons = plotted(report)
    figures = {
        pareto_name(comparison, pair): pareto_plot(comparison, pair, report.protocol)
        for comparison in comparisons
        for pair in PAIRS
    }
    figures[DIAL] = dial_plot(comparisons)
    figures[RELIABILITY] = reliability_plot(report.reliability)
    return {name: _png(figure) for name, figure in figures.items()}


def _png(figure: Figure) -> bytes:
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color="#E4E4E4", linewidth=0.6)
        axes.set_axisbelow(True)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH)
    return buffer.getvalue()
