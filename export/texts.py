"""Texts to measure parity on: the caller's own, or the docstrings of Python's standard library.

Docstrings are real English sentences of very different lengths that every machine has, so none need
be shipped.
"""

import ast
import csv
import gzip
import io
import re
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

from export.errors import ExportError

COUNT = 1_000
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def read(path: Path) -> list[str]:
    """Return up to COUNT texts of a file, evenly spread over it.

    A .csv or .csv.gz has them in its column `text`; any other file has one on each line.
    """
    try:
        with _open(path) as file:
            if ".csv" in path.suffixes:
                rows: Iterable[str] = (row.get("text") or "" for row in csv.DictReader(file))
            else:
                rows = file
            texts = _spread(rows)
    except (OSError, ValueError, csv.Error) as error:
        raise ExportError(f"{path}: {error}") from error
    if len(texts) < 2:
        raise ExportError(f"{path}: holds fewer than two texts")
    return texts


def docstrings() -> list[str]:
    """Return the first paragraphs of COUNT docstrings, spread over the standard library."""
    return _spread(_docstrings(Path(sysconfig.get_path("stdlib"))))


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


def _spread(rows: Iterable[str]) -> list[str]:
    # A dict keeps the order that a set loses.
    texts = list(dict.fromkeys(text for row in rows if (text := re.sub(r"\s+", " ", row).strip())))
    step = max(1, len(texts) / COUNT)
    return [texts[int(i * step)] for i in range(min(COUNT, len(texts)))]
