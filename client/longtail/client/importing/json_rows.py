"""Reads rows of JSON: an object a line, or one array of objects."""

import io
import json
from collections.abc import Callable
from contextlib import closing, suppress
from itertools import islice
from typing import Any, TextIO

from longtail.client.importing.content import Content
from longtail.client.importing.rows import BadRow, FileError, Row, Rows, Source

MAX_LINE_CHARACTERS = 2**20
# JSON has no header: the columns are those of its first rows.
HEADER_ROWS = 100


def json_lines(content: Content) -> Source:
    """Return the rows of a text with an object a line."""
    return _source(content, lambda: _lines(content))


def json_array(content: Content) -> Source:
    """Return the rows of a text that is one array of objects; FileError where it is broken."""
    return _source(content, lambda: _elements(content))


def _source(content: Content, rows: Callable[[], Rows]) -> Source:
    with closing(rows()) as begun:
        first = list(islice(begun, HEADER_ROWS))
    columns = dict.fromkeys(
        column for row in first if isinstance(row, Row) for column in row.values
    )
    return Source(tuple(columns), rows, content.fraction_read, typed=True)


def _lines(content: Content) -> Rows:
    with content.opened() as binary:
        # Bytes that are no UTF-8 become surrogates, which are found row by row.
        text = io.TextIOWrapper(binary, "utf-8-sig", errors="surrogateescape", newline="")
        try:
            yield from _rows(text)
        finally:
            # So that what is opened again is not closed with the text. What nobody reads to its end
            # may be closed already.
            with suppress(ValueError):
                text.detach()


def _rows(text: TextIO) -> Rows:
    line = 0
    while read := text.readline(MAX_LINE_CHARACTERS):
        line += 1
        if len(read) == MAX_LINE_CHARACTERS:
            while read and not read.endswith("\n"):
                read = text.readline(MAX_LINE_CHARACTERS)
            yield BadRow(line, "line too long", f"more than {MAX_LINE_CHARACTERS:,} characters")
        elif read.strip():
            yield _row(line, read)


def _row(line: int, text: str) -> Row | BadRow:
    try:
        values = json.loads(text, parse_constant=_CONSTANTS.__getitem__)
    except (ValueError, RecursionError) as error:
        return BadRow(line, "malformed JSON", str(error))
    return _checked(line, values, text)


def _checked(number: int, values: Any, text: str = "") -> Row | BadRow:  # noqa: ANN401 (JSON)
    if not isinstance(values, dict):
        return BadRow(number, "not a JSON object")
    # Surrogates may be in it as they are, or escaped, at any depth.
    if not text.isascii() or "\\u" in text or not text:
        try:
            json.dumps(values, ensure_ascii=False, default=str).encode()
        except UnicodeEncodeError:
            return BadRow(number, "not UTF-8")
    return Row(number, values)


def _elements(content: Content) -> Rows:
    import ijson

    number = 0
    with content.opened() as binary:
        try:
            for number, values in enumerate(ijson.items(binary, "item", use_float=True), 1):
                yield _checked(number, values)
        except (ijson.JSONError, ValueError) as error:
            raise FileError(f"malformed JSON after element {number}: {error}") from error


# Not of JSON, but written by many programs: missing, and what is no number is found later.
_CONSTANTS = {"NaN": None, "Infinity": float("inf"), "-Infinity": float("-inf")}
