"""The trade-off of all methods between NDCG and another metric."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from evaluation.report.figures import Pair
from evaluation.report.findings import our_method, rivals
from evaluation.report.numerals import area, percent
from evaluation.report.palette import BASE, FRONT, OTHERS, OURS, RIVALS
from evaluation.report.results import Comparison, MethodResult, Protocol

Floats = NDArray[np.float64]

SEPARATOR = " · "
# Room beyond the data, as a share of its extent.
MARGIN = 0.04


@dataclass(frozen=True)
class Curve:
    """The points (P,) of one method, from the mildest dial to the strongest."""

    name: str
    ndcg: Floats
    height: Floats
    hypervolume: float

    @property
    def label(self) -> str:
        """Its entry in the legend."""
        return f"{self.name}{SEPARATOR}{area(self.hypervolume)}"


def pareto_plot(comparison: Comparison, pair: Pair, protocol: Protocol) -> Figure:
    """Draw the curves of the `pair`, as far down in NDCG as hypervolumes count.

    Ours stands out; the rivals of the largest hypervolumes have colours, of each and its variant
    the better one; all others are one grey. The area that the rivals dominate together is shaded.
    """
    base = comparison.base["ndcg"]
    least = protocol.reference_share * base
    ours = _curve(our_method(comparison), pair)
    published = [_curve(method, pair) for method in rivals(comparison)]
    named = _strongest(rivals(comparison), pair)[: len(RIVALS)]
    others = [curve for curve in published if curve.name not in {each.name for each in named}]

    figure = Figure(figsize=(10, 5.6), layout="constrained")
    axes = figure.add_subplot()
    _shade_front(axes, published, least)
    for number, curve in enumerate(others):
        label = f"{len(others)} others" if number == 0 else None
        axes.plot(curve.ndcg, curve.height, color=OTHERS, linewidth=0.8, label=label, zorder=2)
    axes.plot(
        ours.ndcg,
        ours.height,
        color=OURS,
        marker="o",
        markersize=5.5,
        markeredgecolor="white",
        markeredgewidth=0.6,
        linewidth=2.8,
        label=ours.label,
        zorder=5,
    )
    for curve, (color, marker) in zip(named, RIVALS, strict=False):
        axes.plot(
            curve.ndcg,
            curve.height,
            color=color,
            marker=marker,
            markersize=4.5,
            linewidth=1.4,
            label=curve.label,
            zorder=3,
        )
    axes.plot(
        base,
        pair.height(comparison.base[pair.metric.name]),
        linestyle="none",
        marker="X",
        markersize=10,
        color=BASE,
        markeredgecolor="white",
        label="no re-ranking",
        zorder=6,
    )
    axes.axvline(
        (1 - protocol.max_loss) * base,
        color=BASE,
        linestyle=(0, (4, 3)),
        linewidth=1,
        label=f"{percent(protocol.max_loss)} of NDCG lost",
        zorder=1,
    )
    _frame(axes, [ours, *published], least, base)
    axes.set_xlabel(f"NDCG@{comparison.k}")
    axes.set_ylabel(f"{pair.axis}@{comparison.k}")
    axes.set_title(f"{pair.label}, {comparison.regime} scores, lists of {comparison.k}")
    _legend(figure, axes)
    return figure


def _curve(method: MethodResult, pair: Pair) -> Curve:
    metrics = [point.metrics for point in method.curve]
    return Curve(
        method.name,
        np.array([each["ndcg"] for each in metrics]),
        np.array([pair.height(each[pair.metric.name]) for each in metrics]),
        method.hypervolume[pair.name].value,
    )


def _strongest(methods: Iterable[MethodResult], pair: Pair) -> list[Curve]:
    """Return the better variant of each method, the largest hypervolume first."""
    ordered = sorted(methods, key=lambda method: -method.hypervolume[pair.name].value)
    best: dict[str, MethodResult] = {}
    for method in ordered:
        best.setdefault(method.variant_of or method.name, method)
    return [_curve(method, pair) for method in best.values()]


def _shade_front(axes: Axes, curves: Sequence[Curve], least: float) -> None:
    """Shade what any point dominates: at each NDCG up to the highest point that has as much."""
    ndcg = np.concatenate([curve.ndcg for curve in curves])
    height = np.concatenate([curve.height for curve in curves])
    known = ~np.isnan(ndcg) & ~np.isnan(height) & (ndcg > least)
    if not known.any():
        return
    order = np.argsort(ndcg[known])
    steps = np.concatenate(([least], ndcg[known][order]))
    highest = np.maximum.accumulate(height[known][order][::-1])[::-1]
    heights = np.concatenate((highest[:1], highest))
    axes.fill_between(steps, heights, step="pre", color=FRONT, zorder=0, label="baselines' front")


def _frame(axes: Axes, curves: Sequence[Curve], least: float, base: float) -> None:
    """Show the part that counts: not far left, where anything is cheap."""
    ndcg = np.concatenate([curve.ndcg for curve in curves])
    height = np.concatenate([curve.height for curve in curves])
    shown = height[(ndcg >= least) & ~np.isnan(height)]
    right = max(float(np.nanmax(ndcg)), base)
    axes.set_xlim(least, right + MARGIN * max(right - least, 1e-9))
    low, high = (float(shown.min()), float(shown.max())) if len(shown) else (0.0, 1.0)
    room = MARGIN * max(high - low, 1e-9)
    axes.set_ylim(max(low - room, 0.0) if low > high / 3 else -room, high + room)

    def lost(ndcg: ArrayLike) -> ArrayLike:
        return 100 * (1 - np.asarray(ndcg, np.float64) / base)

    def kept(percent_lost: ArrayLike) -> ArrayLike:
        return base * (1 - np.asarray(percent_lost, np.float64) / 100)

    # Of nothing, nothing can be lost.
    if not base:
        return
    losses = axes.secondary_xaxis("top", functions=(lost, kept))
    losses.set_xlabel("NDCG lost, %")


def _legend(figure: Figure, axes: Axes) -> None:
    """List the names beside the axes, where no curve is covered; those with a figure come first."""
    handles, labels = axes.get_legend_handles_labels()
    named = [place for place, label in enumerate(labels) if SEPARATOR in label]
    order = named + [place for place in range(len(labels)) if place not in named]
    figure.legend(
        [handles[place] for place in order],
        [labels[place] for place in order],
        loc="outside right upper",
        title=f"name{SEPARATOR}hypervolume",
        frameon=False,
        fontsize=9,
    )
