"""Reads files of rows one row at a time: CSV, JSON Lines (each also gzip) and Parquet.

A row that cannot be read is yielded as a `BadRow` in its place, so that one bad row never ends an
import; a file that cannot be read at all is a `FileError`.
"""

import csv
import gzip
import io
import json
import math
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, TextIO

MAX_LINE_CHARACTERS = 2**20
PARQUET_BATCH = 1_024
# JSON Lines has no header: the columns are those of its first rows.
HEADER_ROWS = 100

FORMATS = ".csv, .csv.gz, .jsonl, .jsonl.gz, .ndjson, .ndjson.gz and .parquet"


class FileError(Exception):
    """A file that cannot be read, or that lacks a column; the message is for its owner."""


@dataclass(frozen=True)
class Row:
    """One row; `line` is where it starts in the file, from 1 (in Parquet: its number, from 1)."""

    line: int
    values: Mapping[str, Any]


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used: `reason` is one of a few, `detail` says more about this row."""

    line: int
    reason: str
    detail: str = ""


@dataclass(frozen=True)
class Source:
    """An open file: its columns, its rows, and how much of it has been read, 0 to 1."""

    columns: tuple[str, ...]
    rows: Iterator[Row | BadRow]
    fraction_read: Callable[[], float]


@contextmanager
def open_rows(path: Path) -> Iterator[Source]:
    """Open a file by its extension; FileError when it is missing, of another kind or damaged."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    compressed = suffixes[-1:] == [".gz"]
    kind = "".join(suffixes[-2:-1] if compressed else suffixes[-1:])
    with ExitStack() as stack, _file_errors():
        if kind == ".parquet" and not compressed:
            source = _parquet(path, stack)
        elif kind in _TEXT_FORMATS:
            source = _text(path, compressed, _TEXT_FORMATS[kind], stack)
        else:
            raise FileError(f"the extension must be one of {FORMATS}")
        yield source


@contextmanager
def _file_errors() -> Iterator[None]:
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise FileError(f"damaged gzip file: {error}") from error
    except OSError as error:
        raise FileError(error.strerror or str(error)) from error


Parsed = tuple[tuple[str, ...], Iterator[Row | BadRow]]


def _text(
    path: Path, compressed: bool, parse: Callable[[TextIO], Parsed], stack: ExitStack
) -> Source:
    raw = stack.enter_context(path.open("rb"))
    # The position in the file itself, compressed or not, is what the size can be compared with.
    size = path.stat().st_size
    binary: BinaryIO = raw
    if compressed:
        binary = stack.enter_context(gzip.GzipFile(fileobj=raw))  # type: ignore[assignment]  # it is one but in its types
    # Bytes that are no UTF-8 become surrogates, which are found row by row.
    text = io.TextIOWrapper(binary, encoding="utf-8-sig", errors="surrogateescape", newline="")
    columns, rows = parse(stack.enter_context(text))
    return Source(columns, map(_checked, rows), lambda: raw.tell() / size if size else 1.0)


def _checked(row: Row | BadRow) -> Row | BadRow:
    if isinstance(row, Row):
        try:
            # JSON may hold them, escaped, at any depth.
            json.dumps(row.values, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            return BadRow(row.line, "not UTF-8")
    return row


def _csv(text: TextIO) -> Parsed:
    csv.field_size_limit(MAX_LINE_CHARACTERS)
    reader = csv.reader(text, strict=True)
    try:
        header = next(reader, [])
    except csv.Error as error:
        raise FileError(f"the header is no CSV: {error}") from error
    columns = tuple(name.strip() for name in header)
    if not any(columns):
        raise FileError("there is no header")
    if len(set(columns)) < len(columns):
        raise FileError(f"the header names a column twice: {', '.join(columns)}")
    return columns, _csv_rows(reader, columns)


# The type of csv.reader has no public name.
def _csv_rows(reader: Any, columns: tuple[str, ...]) -> Iterator[Row | BadRow]:  # noqa: ANN401
    while True:
        # A quoted field may span lines: the row starts after the line that ended the last one.
        line = reader.line_num + 1
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield BadRow(line, "malformed CSV", str(error))
            continue
        if not values:
            continue
        if len(values) == len(columns):
            yield Row(line, dict(zip(columns, values, strict=True)))
        else:
            detail = f"{len(values)} instead of {len(columns)}"
            yield BadRow(line, "wrong number of fields", detail)


def _json_lines(text: TextIO) -> Parsed:
    rows = _json_rows(text)
    first = list(islice(rows, HEADER_ROWS))
    columns = dict.fromkeys(
        column for row in first if isinstance(row, Row) for column in row.values
    )
    return tuple(columns), chain(first, rows)


def _json_rows(text: TextIO) -> Iterator[Row | BadRow]:
    line = 0
    while content := text.readline(MAX_LINE_CHARACTERS):
        line += 1
        if len(content) == MAX_LINE_CHARACTERS:
            while content and not content.endswith("\n"):
                content = text.readline(MAX_LINE_CHARACTERS)
            yield BadRow(line, "line too long", f"more than {MAX_LINE_CHARACTERS:,} characters")
        elif content.strip():
            yield _json_row(line, content)


def _json_row(line: int, content: str) -> Row | BadRow:
    try:
        values = json.loads(content, parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        return BadRow(line, "malformed JSON", str(error))
    if not isinstance(values, dict):
        return BadRow(line, "not a JSON object")
    return Row(line, values)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"{digits} is beyond double precision")
    return number


_TEXT_FORMATS: Mapping[str, Callable[[TextIO], Parsed]] = {
    ".csv": _csv,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
}


def _parquet(path: Path, stack: ExitStack) -> Source:
    # Takes a tenth of a second, which the other formats need not pay.
    from pyarrow import ArrowException, parquet

    try:
        file = stack.enter_context(parquet.ParquetFile(path))
    except ArrowException as error:
        raise FileError(f"not a Parquet file: {error}") from error
    total, done = file.metadata.num_rows, 0

    def rows() -> Iterator[Row | BadRow]:
        nonlocal done
        batches = file.iter_batches(batch_size=PARQUET_BATCH)
        while True:
            try:
                batch = next(batches, None)
                values = [] if batch is None else batch.to_pylist()
            # Arrow's own, and Python's for numbers and texts that are none.
            except (ArrowException, ArithmeticError, ValueError) as error:
                raise FileError(f"damaged Parquet file after row {done}: {error}") from error
            if batch is None:
                return
            for row in values:
                done += 1
                yield Row(done, row)

    columns = tuple(file.schema_arrow.names)
    return Source(columns, rows(), lambda: done / total if total else 1.0)
