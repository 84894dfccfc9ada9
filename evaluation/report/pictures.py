"""Which pictures a report has, and the names of their files."""

from evaluation.report.figures import Pair
from evaluation.report.results import Comparison, Report

DIAL = "dial.png"
RELIABILITY = "reliability.png"


def plotted(report: Report) -> tuple[Comparison, ...]:
    """Return the comparisons that are drawn: every regime, at the shortest of the list lengths."""
    k = min(comparison.k for comparison in report.comparisons)
    return tuple(comparison for comparison in report.comparisons if comparison.k == k)


def pareto_name(comparison: Comparison, pair: Pair) -> str:
    """Return the file of the trade-off, such as `pareto-raw-10-aplt.png`."""
    return f"pareto-{comparison.regime}-{comparison.k}-{pair.metric.name}.png"
