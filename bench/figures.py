"""What is measured, held against the bar that it has to reach, in sections and in a table."""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Generic, TypeVar

import numpy as np

B = TypeVar("B")

_BAR, _NO_BAR = re.compile(r"(.+) ([<>]=) (\S+)(?: (\S+))?"), re.compile(r"(.+) \[(\S*)\]")
_HEADINGS = ("section", "figure", "bar", "measured", "", "n", "spread", "note")


class NotRun(Exception):
    """A section cannot be measured here; the message says what is missing."""


class LoadError(Exception):
    """A load failed in part, so that its rate would mean nothing."""


@dataclass(frozen=True)
class Bar:
    """What a figure has to reach, by `sign` >= or <=; nothing where it is empty."""

    sign: str
    limit: float
    unit: str

    def is_reached(self, value: float) -> bool:
        """Return whether `value` reaches it; NaN reaches only what is nothing."""
        if not self.sign:
            return True
        return value >= self.limit if self.sign == ">=" else value <= self.limit

    def __str__(self) -> str:
        return f"{self.sign} {self.limit:g} {self.unit}".rstrip() if self.sign else "none"


def bar_of(text: str) -> tuple[str, Bar]:
    """Return a figure's name and bar: `waits <= 3 ms`, or `waits [ms]` with nothing to reach."""
    if match := _BAR.fullmatch(text):
        name, sign, limit, unit = match.groups()
        return name, Bar(sign, float(limit), unit or "")
    if match := _NO_BAR.fullmatch(text):
        return match[1], Bar("", math.nan, match[2])
    raise ValueError(f"{text!r} is no figure with a bar")


@dataclass(frozen=True)
class Measured:
    """A value from `n` samples; `low` to `high` is how far they spread."""

    value: float
    n: int
    low: float
    high: float
    note: str = ""


Measure = Callable[[B], Iterable[Measured]]


@dataclass(frozen=True)
class Figure:
    """One row of the report; without `measured`, `note` says why it was not run."""

    section: str
    name: str
    bar: Bar
    measured: Measured | None
    note: str

    @property
    def verdict(self) -> str:
        """What became of it, in a word."""
        if self.measured is None:
            return "not run"
        if not self.bar.sign:
            return "told"
        return "met" if self.bar.is_reached(self.measured.value) else "MISSED"

    def __str__(self) -> str:
        value = f"{_number(self.measured.value)} {self.bar.unit}, " if self.measured else ""
        return f"{self.name}: {value}{self.verdict} ({self.bar}): {self.note}"


@dataclass(frozen=True)
class Section(Generic[B]):
    """Figures that belong together; `measure` gives them in the order of `bars`."""

    name: str
    title: str
    bars: Mapping[str, Bar]
    measure: Measure[B]

    def figures(self, bench: B) -> list[Figure]:
        """Measure; what fails is a figure that was not run, and the reason."""
        measured: list[Measured] = []
        reason = "not measured"
        try:
            measured.extend(self.measure(bench))
        except NotRun as error:
            reason = str(error)
        # The other sections are worth their time whatever is wrong with this one.
        except Exception as error:
            reason = f"failed with {type(error).__name__}: {error}"
        if len(measured) > len(self.bars):
            raise ValueError(f"section {self.name} has {len(measured)} figures too many")
        return [
            Figure(self.name, name, bar, found, found.note if found else reason)
            for (name, bar), found in zip_longest(self.bars.items(), measured)
        ]


class Sections(list[Section[B]]):
    """The sections of a part, in the order in which they are measured."""

    def add(self, name: str, title: str, *bars: str) -> Callable[[Measure[B]], Measure[B]]:
        """Add a section that the decorated function measures; `bars` as in `bar_of`."""

        def added(measure: Measure[B]) -> Measure[B]:
            self.append(Section(name, title, dict(map(bar_of, bars)), measure))
            return measure

        return added


def single(value: float, n: int, note: str = "") -> Measured:
    """Return a value that is one number over all `n` samples."""
    return Measured(value, n, value, value, note)


def median(values: Sequence[float], note: str = "") -> Measured:
    """Return the median of rounds, which spread from their least to their greatest."""
    return Measured(float(np.median(values)), len(values), min(values), max(values), note)


def against(
    pairs: Iterable[Sequence[float]], unit: str, note: str = "", scale: float = 1.0
) -> Measured:
    """Compare what took turns, ours and theirs: the median of the ratios, `scale` times.

    The note gives both medians in `unit`.
    """
    ours, theirs = np.array(list(pairs)).T
    ratios: list[float] = (scale * ours / theirs).tolist()
    both = " against ".join(_number(float(np.median(side))) for side in (ours, theirs))
    return median(ratios, f"{both} {unit}{note}")


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest sample that `percent` of them do not exceed; NaN without samples."""
    if not len(values):
        return math.nan
    return float(np.percentile(values, percent, method="inverted_cdf"))


def as_markdown(facts: Mapping[str, str], figures: Sequence[Figure]) -> str:
    """Return the facts as a list and the figures as a table."""
    lines = [f"- {name}: {value}" for name, value in facts.items()]
    lines += ["", _row(_HEADINGS), _row(["---"] * len(_HEADINGS))]
    lines += [_row(_cells(figure)) for figure in figures]
    verdicts = [figure.verdict for figure in figures if figure.bar.sign]
    met, not_run = verdicts.count("met"), verdicts.count("not run")
    lines += ["", f"{met} of {len(verdicts)} bars met, {not_run} not run."]
    return "\n".join(lines) + "\n"


def as_json(facts: Mapping[str, str], figures: Sequence[Figure]) -> dict[str, Any]:
    """Return facts and figures; a figure that was not run has null for `measured`."""
    return {
        "facts": dict(facts),
        "figures": [
            {
                "section": figure.section,
                "name": figure.name,
                "bar": str(figure.bar),
                "unit": figure.bar.unit,
                "measured": figure.measured and _finite(figure.measured.value),
                "verdict": figure.verdict,
                "note": figure.note,
            }
            for figure in figures
        ],
    }


def _cells(figure: Figure) -> list[str]:
    cells = [figure.section, figure.name, str(figure.bar)]
    measured = figure.measured
    if measured is None:
        return [*cells, "", figure.verdict, "", "", figure.note]
    spread = ""
    if measured.low != measured.high:
        spread = f"{_number(measured.low)} to {_number(measured.high)}"
    value = f"{_number(measured.value)} {figure.bar.unit}".rstrip()
    return [*cells, value, figure.verdict, f"{measured.n:,}", spread, figure.note]


def _row(cells: Sequence[str]) -> str:
    escaped = (cell.replace("|", "\\|").replace("\n", " ") for cell in cells)
    return f"| {' | '.join(escaped)} |"


def _number(value: float) -> str:
    if value.is_integer():
        return f"{value:,.0f}"
    # As many digits as tell the figure from its bar.
    return f"{value:,.4f}" if abs(value) < 2 else f"{value:,.2f}"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
