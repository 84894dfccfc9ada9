"""The outcome of a run: a table for people in markdown, the same as JSON for programs."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.figures import Bar, Figure

_HEADINGS = ("section", "figure", "bar", "measured", "", "n", "spread", "note")


def as_markdown(facts: Mapping[str, str], figures: Sequence[Figure]) -> str:
    """Return the facts as a list and the figures as a table."""
    lines = [f"- {name}: {value}" for name, value in facts.items()]
    lines += ["", _row(_HEADINGS), _row(["---"] * len(_HEADINGS))]
    lines += [_row(_cells(figure)) for figure in figures]
    held = [figure for figure in figures if figure.bar.is_set]
    met = sum(figure.is_met for figure in held)
    not_run = sum(figure.measured is None for figure in held)
    lines += ["", f"{met} of {len(held)} bars met, {not_run} not run."]
    return "\n".join(lines) + "\n"


def as_json(facts: Mapping[str, str], figures: Sequence[Figure]) -> dict[str, Any]:
    """Return facts and figures; a figure that was not run has null for `measured`."""
    return {"facts": dict(facts), "figures": [_document(figure) for figure in figures]}


def write(out: Path, name: str, facts: Mapping[str, str], figures: Sequence[Figure]) -> None:
    """Write `name`.json and `name`.md into the folder `out`."""
    text = json.dumps(as_json(facts, figures), indent=2, ensure_ascii=False)
    (out / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    (out / f"{name}.md").write_text(as_markdown(facts, figures), encoding="utf-8")


def verdict(figure: Figure) -> str:
    """Return what became of the figure, in a word."""
    if figure.measured is None:
        return "not run"
    if not figure.bar.is_set:
        return "told"
    return "met" if figure.is_met else "MISSED"


def line(figure: Figure) -> str:
    """Return the figure in one line, for the log."""
    measured = figure.measured
    value = f"{_value(measured.value, figure.bar)}, " if measured else ""
    return f"{figure.name}: {value}{verdict(figure)} ({figure.bar}): {figure.note}"


def _cells(figure: Figure) -> list[str]:
    cells = [str(figure.section), figure.name, str(figure.bar)]
    measured = figure.measured
    if measured is None:
        return [*cells, "", verdict(figure), "", "", figure.note]
    spread = ""
    if measured.low != measured.high:
        spread = f"{_number(measured.low)} to {_number(measured.high)}"
    value = _value(measured.value, figure.bar)
    return [*cells, value, verdict(figure), f"{measured.n:,}", spread, figure.note]


def _row(cells: Sequence[str]) -> str:
    escaped = (cell.replace("|", "\\|").replace("\n", " ") for cell in cells)
    return f"| {' | '.join(escaped)} |"


def _value(value: float, bar: Bar) -> str:
    return f"{_number(value)} {bar.unit}".rstrip()


def _number(value: float) -> str:
    if value.is_integer():
        return f"{value:,.0f}"
    # As many digits as tell the figure from its bar.
    return f"{value:,.4f}" if abs(value) < 2 else f"{value:,.2f}"


def _document(figure: Figure) -> dict[str, Any]:
    bar: Bar = figure.bar
    measured = figure.measured
    return {
        "section": figure.section,
        "name": figure.name,
        "bar": str(bar),
        "unit": bar.unit,
        "measured": _finite(measured.value) if measured else None,
        "n": measured.n if measured else 0,
        "spread": [_finite(measured.low), _finite(measured.high)] if measured else None,
        "verdict": verdict(figure),
        "note": figure.note,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
