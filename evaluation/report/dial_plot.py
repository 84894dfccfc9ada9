"""Whether the dial costs what it says, and what it buys."""

import numpy as np
from matplotlib.figure import Figure

from evaluation.report.figures import APLT
from evaluation.report.findings import loss, our_method
from evaluation.report.palette import BASE, OURS, RIVALS
from evaluation.report.results import Comparison

STYLES = ((OURS, "o"), *RIVALS)


def dial_plot(comparisons: tuple[Comparison, ...]) -> Figure:
    """Draw our method in each of the comparisons, which are of one list length.

    Left: the share of NDCG that was promised to be the most that is lost, against what was. Middle
    and right: the loss and the tail that each value of the dial brought.
    """
    figure = Figure(figsize=(12, 4.3), layout="constrained")
    promise, cost, gain = figure.subplots(1, 3)
    promise.axline((0, 0), slope=1, color=BASE, linestyle="--", linewidth=1, label="as promised")
    for comparison, (color, marker) in zip(comparisons, STYLES, strict=False):
        curve = our_method(comparison).curve
        dials = np.array([point.dial for point in curve])
        losses = np.array([100 * loss(point, comparison) for point in curve])
        promised = np.array(
            [
                np.nan if point.promised_loss is None else 100 * point.promised_loss
                for point in curve
            ]
        )
        tail = np.array([point.metrics[APLT.name] for point in curve])
        for axes, x, y in ((promise, promised, losses), (cost, dials, losses), (gain, dials, tail)):
            axes.plot(
                x,
                y,
                color=color,
                marker=marker,
                markersize=4.5,
                label=f"{comparison.regime} scores",
            )
    for axes in (promise, cost):
        axes.axhline(0, color=BASE, linewidth=0.6)
        axes.set_ylabel("NDCG lost, measured, %")
    promise.set_xlabel("NDCG lost at most, promised, %")
    promise.set_title("Promise against measurement")
    cost.set_title("What the dial costs")
    gain.set_title("What the dial buys")
    gain.set_ylabel(f"{APLT.label}@{comparisons[0].k}")
    for axes in (cost, gain):
        axes.set_xlabel("dial")
    handles, labels = promise.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return figure
