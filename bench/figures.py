"""A figure is what was measured, held against the bar that it has to reach."""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np


class NotRun(Exception):
    """A section cannot be measured here; the message says what is missing."""


@dataclass(frozen=True)
class Bar:
    """What a figure has to reach: at least or at most `limit`, in `unit`."""

    limit: float
    unit: str
    reaches: Callable[[float, float], bool]

    @property
    def is_set(self) -> bool:
        """Return whether there is anything to reach."""
        return self.reaches is not _anything

    def __str__(self) -> str:
        if not self.is_set:
            return "none"
        sign = ">=" if self.reaches is operator.ge else "<="
        return f"{sign} {self.limit:g} {self.unit}".rstrip()


def at_least(limit: float, unit: str) -> Bar:
    """Return the bar of a figure that is better when it is larger."""
    return Bar(limit, unit, operator.ge)


def at_most(limit: float, unit: str) -> Bar:
    """Return the bar of a figure that is better when it is smaller."""
    return Bar(limit, unit, operator.le)


def reported(unit: str) -> Bar:
    """Return the bar of a figure that is told beside others and has nothing to reach."""
    return Bar(float("nan"), unit, _anything)


@dataclass(frozen=True)
class Measured:
    """A value from `n` samples; `low` to `high` is how far they spread."""

    value: float
    n: int
    low: float
    high: float
    note: str = ""


@dataclass(frozen=True)
class Figure:
    """One row of the report; without `measured`, `note` says why it was not run."""

    section: int | str
    name: str
    bar: Bar
    measured: Measured | None
    note: str = ""

    @property
    def is_met(self) -> bool:
        """Return whether it was measured and reaches its bar; NaN reaches none."""
        return self.measured is not None and self.bar.reaches(self.measured.value, self.bar.limit)


def single(value: float, n: int, note: str = "") -> Measured:
    """Return a value that is one number over all `n` samples."""
    return Measured(value, n, value, value, note)


def median(values: Sequence[float], note: str = "") -> Measured:
    """Return the median of rounds, which spread from their least to their greatest."""
    return Measured(float(np.median(values)), len(values), min(values), max(values), note)


def ratio(ours: Sequence[float], theirs: Sequence[float], unit: str, percent: bool) -> Measured:
    """Return the ratio of the medians of rates taken in the same rounds.

    The spread is that of the rounds' own ratios; the note gives both medians in `unit`.
    """
    scale = 100.0 if percent else 1.0
    ratios = [scale * our / their for our, their in zip(ours, theirs, strict=True)]
    our, their = float(np.median(ours)), float(np.median(theirs))
    note = f"{our:,.0f} against {their:,.0f} {unit}"
    return Measured(scale * our / their, len(ratios), min(ratios), max(ratios), note)


def percentile(seconds: Sequence[float], percent: float) -> float:
    """Return the smallest sample that `percent` of them do not exceed; NaN without samples."""
    if not len(seconds):
        return float("nan")
    return float(np.percentile(seconds, percent, method="inverted_cdf"))


def figures_of(
    section: int | str, bars: Mapping[str, Bar], measured: Mapping[str, Measured], reason: str = ""
) -> list[Figure]:
    """Return a figure for every bar, whether it was measured or not."""
    unknown = measured.keys() - bars.keys()
    if unknown:
        raise KeyError(f"section {section} has no bar for {', '.join(sorted(unknown))}")
    return [
        Figure(
            section,
            name,
            bar,
            measured.get(name),
            measured[name].note if name in measured else reason or "not measured",
        )
        for name, bar in bars.items()
    ]


def _anything(_value: float, _limit: float) -> bool:
    return True
