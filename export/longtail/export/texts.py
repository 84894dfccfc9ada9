"""Texts to calibrate on and others to measure on: the caller's own, or the standard library's.

Python's docstrings are real English sentences of very different lengths that every machine has, so
none need be shipped.
"""

import ast
import csv
import gzip
import io
import re
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from longtail.export.errors import ExportError

# More texts to measure on change the third digit of an overlap; more to calibrate on, nothing.
_MEASURED, _CALIBRATED = 1_000, 2_000
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Sample:
    """Two sets of texts, none of which is in both."""

    calibration: Sequence[str]
    measured: Sequence[str]


def read(path: Path) -> Sample:
    """Return a sample of a file, calibration being joined by docstrings; raise ExportError.

    A .csv or .csv.gz has the texts in its column `text`; any other file has one on each line.
    """
    try:
        with _open(path) as file:
            if ".csv" in path.suffixes:
                rows: Iterable[str] = (row.get("text") or "" for row in csv.DictReader(file))
            else:
                rows = file
            texts = _distinct(rows)
    except (OSError, ValueError, csv.Error) as error:
        raise ExportError(f"{path}: {error}") from error
    if len(texts) < 4:
        raise ExportError(f"{path}: holds fewer than four texts")
    own = _split(texts)
    # A second domain keeps the scales sound for texts that are unlike the caller's.
    return Sample([*own.calibration, *docstrings().calibration], own.measured)


def docstrings() -> Sample:
    """Return a sample of the docstrings' first paragraphs, spread over the standard library."""
    return _split(_distinct(_docstrings(Path(sysconfig.get_path("stdlib")))))


def _docstrings(library: Path) -> Iterator[str]:
    for path in sorted(library.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, _DOCUMENTED):
                # The first paragraph is prose; what follows is often a table or a session.
                yield (ast.get_docstring(node) or "").partition("\n\n")[0]


def _open(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return io.TextIOWrapper(gzip.open(path), encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")


def _distinct(rows: Iterable[str]) -> list[str]:
    # A dict keeps the order that a set loses.
    return list(dict.fromkeys(text for row in rows if (text := re.sub(r"\s+", " ", row).strip())))


def _split(texts: Sequence[str]) -> Sample:
    measured = _spread(texts, min(_MEASURED, len(texts) // 2))
    taken = set(measured)
    return Sample(_spread([text for text in texts if text not in taken], _CALIBRATED), measured)


def _spread(texts: Sequence[str], count: int) -> list[str]:
    """Return up to `count` of the texts, evenly spread."""
    step = max(1, len(texts) / count)
    return [texts[int(i * step)] for i in range(min(count, len(texts)))]
