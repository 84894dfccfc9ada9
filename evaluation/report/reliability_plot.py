"""Whether P(relevant) means what it says, for the popular and for the tail."""

from matplotlib.figure import Figure

from evaluation.report.palette import OURS, RIVALS
from evaluation.report.results import ReliabilityRow


def reliability_plot(rows: tuple[ReliabilityRow, ...]) -> Figure:
    """Draw the predicted and the observed rate of each decile of popularity."""
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.add_subplot()
    deciles = [row.decile for row in rows]
    predicted, observed = [row.predicted for row in rows], [row.observed for row in rows]
    color, marker = RIVALS[0]
    axes.plot(deciles, observed, color=color, marker=marker, label="observed rate")
    axes.plot(deciles, predicted, color=OURS, marker="o", linestyle="--", label="predicted P")
    axes.set_ylim(bottom=0)
    axes.set_xticks(deciles, [f"{row.decile}\n{row.count:,}" for row in rows], fontsize=8)
    axes.set_xlabel("decile of popularity, from the least popular, and candidates in it")
    axes.set_ylabel("rate of relevant candidates")
    axes.set_title("Reliability of P(relevant)")
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure
