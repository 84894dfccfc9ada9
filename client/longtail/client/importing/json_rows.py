"""Reads rows of JSON: an object a line, objects laid out in any other way, or one array of them."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any, BinaryIO, TextIO

from longtail.client.importing import literals
from longtail.client.importing.encoding import UTF8
from longtail.client.importing.guarded_json import Guarded
from longtail.client.importing.rows import BadRow, FileError, Row, Rows, Source
from longtail.client.importing.text import Text

MAX_LINE_CHARACTERS = 2**20
# JSON has no header: the columns are those of its first rows.
HEADER_ROWS = 1_000
# A text that goes on over several buffers is begun anew with each.
BUFFER = 2**20
MALFORMED = "malformed JSON"
# What a surrogate begins with, where it is escaped.
_ESCAPED = "\\ud"


def json_objects(text: Text) -> Source:
    """Return the rows of a text of objects: one a line, or, where its first line is none, many."""
    with text.opened() as lines:
        first = lines.readline(MAX_LINE_CHARACTERS)
    whole = len(first) < MAX_LINE_CHARACTERS
    if whole and _is_broken(_row(1, first)) and _begins_with_object(text):
        return _source(text, lambda: _values(text, "", several=True))
    return _source(text, lambda: _lines(text))


def json_array(text: Text) -> Source:
    """Return the rows of a text that is one array of objects; FileError where it is broken."""
    return _source(text, lambda: _values(text, "item"))


def _source(text: Text, rows: Callable[[], Rows]) -> Source:
    columns: dict[str, None] = {}
    good, bad = 0, None
    with closing(rows()) as begun:
        for row in begun:
            if isinstance(row, Row):
                good += 1
                columns |= dict.fromkeys(row.values)
            bad = bad or (row if isinstance(row, BadRow) else None)
            if good == HEADER_ROWS:
                break
    if not good and bad is not None:
        detail = f": {bad.detail}" if bad.detail else ""
        raise FileError(f"no row can be read; row {bad.line}: {bad.reason}{detail}")
    remarks = tuple(filter(None, (text.remark,)))
    return Source(tuple(columns), rows, text.content.fraction_read, typed=True, remarks=remarks)


def _lines(text: Text) -> Rows:
    with text.opened() as lines:
        line = 0
        while read := lines.readline(MAX_LINE_CHARACTERS):
            line += 1
            if len(read) == MAX_LINE_CHARACTERS:
                while read and not read.endswith("\n"):
                    read = lines.readline(MAX_LINE_CHARACTERS)
                yield BadRow(line, "line too long", f"more than {MAX_LINE_CHARACTERS:,} characters")
            elif read.strip():
                yield _row(line, read)


def _row(line: int, text: str) -> Row | BadRow:
    try:
        values = _DECODER.decode(text)
    except RecursionError:
        return BadRow(line, "nested too deep")
    except ValueError as error:
        values = _nearly(text.strip().removesuffix(","))
        if values is None:
            return BadRow(line, MALFORMED, str(error))
    return _checked(line, values, text)


def _is_broken(row: Row | BadRow) -> bool:
    return isinstance(row, BadRow) and row.reason == MALFORMED


def _nearly(text: str) -> Mapping[str, Any] | None:
    """Return the object of a line that had a comma behind it, or that Python wrote; else None."""
    try:
        found = _DECODER.decode(text)
    except (ValueError, RecursionError):
        found = literals.python(text)
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        return None
    return found


def _checked(number: int, values: Any, text: str = "") -> Row | BadRow:  # noqa: ANN401 (JSON)
    if not isinstance(values, dict):
        return BadRow(number, "not a JSON object")
    try:
        # Surrogates may be in it as they are, or escaped, at any depth.
        if not text.isascii():
            text.encode()
        if not text or ("\\u" in text and _ESCAPED in text.lower()):
            json.dumps(values, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        return BadRow(number, "not UTF-8")
    except RecursionError:
        return BadRow(number, "nested too deep")
    return Row(number, values)


def _values(text: Text, prefix: str, *, several: bool = False) -> Rows:
    import ijson

    number = 0
    with _as_utf8(text) as binary:
        try:
            found = ijson.items(
                Guarded(binary), prefix, use_float=True, multiple_values=several, buf_size=BUFFER
            )
            for number, values in enumerate(found, 1):
                yield _checked(number, values)
        except (ijson.JSONError, ValueError) as error:
            raise FileError(f"malformed JSON after element {number}: {error}") from error


def _begins_with_object(text: Text) -> bool:
    with closing(_values(text, "", several=True)) as values:
        try:
            return isinstance(next(values, None), Row)
        except FileError:
            return False


class _Bytes:
    """The bytes of a text in UTF-8, whatever they were."""

    def __init__(self, text: TextIO) -> None:
        self._text = text

    def read(self, size: int) -> bytes:
        """Return the next of them; b"" at the end."""
        return self._text.read(size).encode(errors="surrogateescape")


@contextmanager
def _as_utf8(text: Text) -> Iterator[BinaryIO | _Bytes]:
    if text.encoding == UTF8:
        with text.content.opened() as binary:
            yield binary
    else:
        with text.opened() as recoded:
            yield _Bytes(recoded)


# Not of JSON, but written by many programs: missing, and what is no number is found later.
_CONSTANTS = {"NaN": None, "Infinity": float("inf"), "-Infinity": float("-inf")}
# Made once: to make one takes as long as to read a short row.
_DECODER = json.JSONDecoder(parse_constant=_CONSTANTS.__getitem__)
