"""Reads rows of delimited text: CSV and its relatives, whatever divides their fields.

A quote that is not closed swallows what follows. So a record over several lines that is none costs
its first line alone, and the others are read again, each by itself.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice

from longtail.client.importing.content import Content
from longtail.client.importing.encoding import UTF8, encoding_of, known
from longtail.client.importing.rows import BadRow, FileError, Row, Rows, Source

# Characters that a field, and so a record over several lines, may have.
MAX_FIELD_CHARACTERS = 2**20
# Of two characters: the files of MovieLens. It has no quotes.
DOUBLE_COLON = "::"
DELIMITERS = (",", "\t", ";", "|", DOUBLE_COLON)
# Records by which it is judged what divides them.
JUDGED = 50
# RecBole: https://recbole.io/docs/user_guide/data/atomic_files.html
_RECBOLE = re.compile(r"[^:]+:(token|token_seq|float|float_seq)")
# The names that a data frame gives to a column that has none.
_NAMELESS = re.compile(r"(Unnamed: \d+)?")


@dataclass(frozen=True)
class Dialect:
    """How a text is read where its owner says so; None and no `columns`: find it out.

    `columns`: names of the columns of a file that has no header.
    """

    encoding: str | None = None
    delimiter: str | None = None
    columns: tuple[str, ...] = ()


def delimited(content: Content, dialect: Dialect) -> Source:
    """Return the rows of a text; FileError when it has no header, or cannot be read as said."""
    csv.field_size_limit(MAX_FIELD_CHARACTERS)
    encoding, remark = _encoding(content, dialect.encoding)
    with _opened(content, encoding) as lines:
        first = list(islice(lines, JUDGED))
    delimiter = dialect.delimiter or _delimiter(first)
    header = dialect.columns or _header(first, delimiter)
    names, split, texts = _recbole(header)
    columns = _distinct(names)
    if not any(columns):
        raise FileError("there is no header")

    def rows() -> Rows:
        with _opened(content, encoding) as lines:
            records = _records(_Lines(lines), delimiter, len(columns))
            yield from _rows(records, columns, 0 if dialect.columns else 1)

    return Source(
        columns=tuple(name for name in columns if name),
        rows=rows,
        fraction_read=content.fraction_read,
        typed=False,
        split=split,
        texts=texts,
        remarks=tuple(filter(None, (remark, *_remarks(delimiter, dialect, names, columns)))),
    )


def _encoding(content: Content, wanted: str | None) -> tuple[str, str]:
    if wanted is not None:
        return known(wanted), ""
    with content.opened() as binary:
        return encoding_of(binary)


@contextmanager
def _opened(content: Content, encoding: str) -> Iterator[Iterator[str]]:
    """Open the lines of a text; what is not of the encoding becomes surrogates."""
    name = "utf-8-sig" if encoding == UTF8 else encoding
    with content.opened() as binary:
        text = io.TextIOWrapper(binary, encoding=name, errors="surrogateescape", newline="")
        try:
            yield iter(lambda: text.readline(MAX_FIELD_CHARACTERS), "")
        except UnicodeError as error:
            # Where an encoding has no place for a surrogate.
            raise FileError(f"it is not in {encoding}: {error}") from error
        finally:
            # So that what is opened again is not closed with the text. What nobody reads to its end
            # may be closed already.
            with suppress(ValueError):
                text.detach()


def _delimiter(lines: Sequence[str]) -> str:
    """Return what divides the fields: what gives the most records as many as the header has."""
    best, most = DELIMITERS[0], (0.0, 1)
    for delimiter in DELIMITERS:
        counts = [len(fields) for fields in _judged(lines, delimiter)]
        if not counts or counts[0] < 2:
            continue
        even = sum(count in (counts[0], counts[0] + 1) for count in counts) / len(counts)
        # A blank record tells nothing; more fields only count where they are as even.
        if (round(even, 1), counts[0]) > most:
            best, most = delimiter, (round(even, 1), counts[0])
    return best


def _judged(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    if delimiter == DOUBLE_COLON:
        return [line.rstrip("\r\n").split(delimiter) for line in lines if line.strip()]
    records: list[list[str]] = []
    reader = csv.reader(lines, delimiter=delimiter)
    with suppress(csv.Error):
        records.extend(fields for fields in reader if fields)
    return records


def _header(lines: Sequence[str], delimiter: str) -> tuple[str, ...]:
    if delimiter == DOUBLE_COLON:
        fields: Sequence[str] = lines[0].rstrip("\r\n").split(delimiter) if lines else ()
    else:
        try:
            fields = next(csv.reader(lines, delimiter=delimiter, strict=True), ())
        except csv.Error as error:
            raise FileError(f"the header is no CSV: {error}") from error
    # A name with bytes of another encoding is still a name.
    return tuple(name.strip().encode("utf-8", "replace").decode() for name in fields)


def _recbole(header: Sequence[str]) -> tuple[list[str], frozenset[str], frozenset[str]]:
    """Return the names in a header, and which of them it calls lists, and which text."""
    if not all(_RECBOLE.fullmatch(name) for name in header):
        return list(header), frozenset(), frozenset()
    typed = [name.rsplit(":", 1) for name in header]
    split = frozenset(name for name, kind in typed if kind.endswith("_seq"))
    return [name for name, _ in typed], split, frozenset(n for n, kind in typed if kind == "token")


def _distinct(names: Sequence[str]) -> list[str]:
    """Return the names, the second of two that are equal as `name.1`, what has none as ""."""
    met: Counter[str] = Counter()
    distinct = []
    for name in names:
        if _NAMELESS.fullmatch(name):
            distinct.append("")
            continue
        distinct.append(f"{name}.{met[name]}" if met[name] else name)
        met[name] += 1
    return distinct


def _remarks(
    delimiter: str, dialect: Dialect, names: Sequence[str], columns: Sequence[str]
) -> Iterator[str]:
    if dialect.delimiter is None and delimiter != ",":
        yield f"fields are divided by {delimiter!r}"
    nameless = sum(not name for name in columns)
    if nameless:
        yield f"columns without a name are left out: {nameless}"
    renamed = [now for was, now in zip(names, columns, strict=True) if now and now != was]
    if renamed:
        yield f"columns that are named twice are read as {', '.join(renamed)}"


@dataclass
class _Lines:
    """The lines of a text, and those of the record that is being read, to be read again."""

    text: Iterator[str]
    # Lines before the record, and the lines of it.
    before: int = 0
    record: list[str] = field(default_factory=list)
    again: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self.again.pop() if self.again else next(self.text)
        self.record.append(line)
        return line

    def begin(self) -> int:
        """Begin a record; return the number of its first line."""
        self.before += len(self.record)
        self.record.clear()
        return self.before + 1

    def give_back(self) -> None:
        """Give back all lines of the record but the first, to be read again."""
        self.again.extend(reversed(self.record[1:]))
        del self.record[1:]


def _records(lines: _Lines, delimiter: str, width: int) -> Iterator[tuple[int, list[str] | BadRow]]:
    """Yield each record, or why it is none, with the line where it starts; blank ones are not."""
    if delimiter == DOUBLE_COLON:
        for line in lines.text:
            lines.before += 1
            if line.strip():
                yield lines.before, line.rstrip("\r\n").split(delimiter)
        return
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        start = lines.begin()
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            several = len(lines.record) > 1
            reason = "unclosed quote" if several else "malformed CSV"
            lines.give_back()
            # What the reader has taken in of a record that is none stays in it.
            reader = csv.reader(lines, delimiter=delimiter, strict=True)
            yield start, BadRow(start, reason, "" if several else str(error))
            continue
        if len(lines.record) > 1 and not _fits(fields, width):
            lines.give_back()
            reader = csv.reader(lines, delimiter=delimiter, strict=True)
            yield start, BadRow(start, "unclosed quote")
        elif fields:
            yield start, fields


def _fits(fields: Sequence[str], width: int) -> bool:
    # A delimiter at the end of every row is a habit of some programs.
    return len(fields) == width or (len(fields) == width + 1 and not fields[-1])


def _rows(
    records: Iterator[tuple[int, list[str] | BadRow]], columns: Sequence[str], skipped: int
) -> Rows:
    named = [(at, name) for at, name in enumerate(columns) if name]
    all_named = len(named) == len(columns)
    width = len(columns)
    for start, fields in islice(records, skipped, None):
        if isinstance(fields, BadRow):
            yield fields
        elif not _fits(fields, width):
            detail = f"{len(fields)} instead of {width}"
            yield BadRow(start, "wrong number of fields", detail)
        elif not _is_text(fields):
            yield BadRow(start, "not in the file's encoding")
        elif all_named:
            yield Row(start, dict(zip(columns, fields, strict=False)))
        else:
            yield Row(start, {name: fields[at] for at, name in named})


def _is_text(fields: Sequence[str]) -> bool:
    joined = "".join(fields)
    if joined.isascii():
        return True
    try:
        joined.encode()
    except UnicodeEncodeError:
        return False
    return True
