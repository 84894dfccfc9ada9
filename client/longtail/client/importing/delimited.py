"""Reads rows of delimited text: CSV and its relatives, whatever divides their fields.

A quote that is not closed swallows what follows. So a record over several lines that is none costs
its first line alone, and the others are read again, each by itself.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import compress, islice
from typing import TextIO

from longtail.client.importing.rows import BadRow, FileError, Row, Rows, Source, distinct, naming
from longtail.client.importing.text import Text

# Characters that a line, and a field of a record over several lines, may have.
MAX_LINE_CHARACTERS = 2**20
_ENDS = "\r\n"
# In the place of a longer line.
TOO_LONG = "\0too long\n"
# Of two characters: the files of MovieLens. It has no quotes.
DOUBLE_COLON = "::"
DELIMITERS = (",", "\t", ";", "|", DOUBLE_COLON)
# Records by which it is judged what divides them.
JUDGED = 50
# RecBole: https://recbole.io/docs/user_guide/data/atomic_files.html
_RECBOLE = re.compile(r"[^:]+:(token|token_seq|float|float_seq)")
# What a spreadsheet writes in front of a header to say what divides.
_TOLD = re.compile(r'"?sep=(.)"?[,;\s]*', re.DOTALL)
# Where quotes are often no more than letters, as in a title.
UNQUOTED = ("\t", "|")
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
# A cell that a spreadsheet is to leave as it stands: ="0441013597".
_FORMULA = '="'


@dataclass(frozen=True)
class Dialect:
    """How a text is read where its owner says so; None and no `columns`: find it out.

    `columns`: names of the columns of a file that has no header.
    """

    encoding: str | None = None
    delimiter: str | None = None
    columns: tuple[str, ...] = ()


def delimited(text: Text, dialect: Dialect) -> Source:
    """Return the rows of a text; FileError when it has no header, or cannot be read as said."""
    csv.field_size_limit(MAX_LINE_CHARACTERS)
    with _opened(text) as lines:
        first = list(islice(lines, JUDGED))
    told = _TOLD.fullmatch(first[0]) if first else None
    if told:
        del first[0]
    delimiter = dialect.delimiter or (told and told[1]) or _delimiter(first)
    header = dialect.columns or _header(first, delimiter)
    has_header = not dialect.columns or _says(first, delimiter, header)
    names, split, texts = _recbole(header)
    columns = distinct(names)
    if not any(columns):
        raise FileError("there is no header")

    def rows() -> Rows:
        with _opened(text) as lines:
            if told:
                next(lines)
            if delimiter in UNQUOTED:
                lines = _quoted(lines, delimiter, len(columns))
            records = _records(_Lines(lines, before=int(bool(told))), delimiter, len(columns))
            yield from _rows(records, columns, int(has_header))

    divided = (
        "" if dialect.delimiter or delimiter == "," else f"fields are divided by {delimiter!r}"
    )
    return Source(
        columns=tuple(name for name in columns if name),
        rows=rows,
        fraction_read=text.content.fraction_read,
        typed=False,
        split=split,
        texts=texts,
        remarks=tuple(filter(None, (text.remark, divided, *naming(names, columns)))),
    )


@contextmanager
def _opened(text: Text) -> Iterator[Iterator[str]]:
    with text.opened() as opened:
        yield _lines(opened)


def _lines(text: TextIO) -> Iterator[str]:
    while line := text.readline(MAX_LINE_CHARACTERS):
        if len(line) < MAX_LINE_CHARACTERS or line[-1] in _ENDS:
            yield line
            continue
        # The rest is no line, whatever it looks like.
        while line and line[-1] not in _ENDS:
            line = text.readline(MAX_LINE_CHARACTERS)
        yield TOO_LONG


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
        return [line.rstrip(_ENDS).split(delimiter) for line in lines if line.strip()]
    records: list[list[str]] = []
    reader = csv.reader(lines, delimiter=delimiter)
    with suppress(csv.Error):
        records.extend(fields for fields in reader if fields)
    return records


def _header(lines: Sequence[str], delimiter: str) -> tuple[str, ...]:
    if delimiter == DOUBLE_COLON:
        fields: Sequence[str] = lines[0].rstrip(_ENDS).split(delimiter) if lines else ()
    else:
        try:
            fields = next(csv.reader(lines, delimiter=delimiter, strict=True), ())
        except csv.Error as error:
            raise FileError(f"the header is no CSV: {error}") from error
    # A name with bytes of another encoding is still a name.
    return tuple(name.strip().encode("utf-8", "replace").decode() for name in fields)


def _says(lines: Sequence[str], delimiter: str, names: Sequence[str]) -> bool:
    """Whether a file has the header that its owner says it lacks."""
    try:
        return _header(lines, delimiter) == tuple(names)
    except FileError:
        return False


def _recbole(header: Sequence[str]) -> tuple[list[str], frozenset[str], frozenset[str]]:
    """Return the names in a header, and which of them it calls lists, and which text."""
    if not all(_RECBOLE.fullmatch(name) for name in header):
        return list(header), frozenset(), frozenset()
    typed = [name.rsplit(":", 1) for name in header]
    split = frozenset(name for name, kind in typed if kind.endswith("_seq"))
    return [name for name, _ in typed], split, frozenset(n for n, kind in typed if kind == "token")


def _quoted(lines: Iterator[str], delimiter: str, width: int) -> Iterator[str]:
    """Yield the lines, with quotes around fields in which a quote at the beginning is a letter.

    A line that has all of its fields as it stands opens no quote that another line closes; in the
    last field it may.
    """
    for line in lines:
        if '"' not in line:
            yield line
            continue
        plain = line.rstrip(_ENDS)
        fields = plain.split(delimiter)
        broken = list(map(_is_broken, fields))
        if len(fields) == width and (
            any(broken[:-1]) or (broken[-1] and fields[-1].count('"') % 2 == 0)
        ):
            for at in compress(range(width), broken):
                doubled = fields[at].replace('"', '""')
                fields[at] = f'"{doubled}"'
            line = delimiter.join(fields) + line[len(plain) :]
        yield line


def _is_broken(field: str) -> bool:
    return field.startswith('"') and not _QUOTED.fullmatch(field)


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

    def unquoted(self) -> str | None:
        """Return the next line, without its end, as a record by itself; None of one with quotes."""
        line = self.again.pop() if self.again else next(self.text, None)
        if line is None or '"' in line:
            if line is not None:
                self.again.append(line)
            return None
        self.before += 1
        return line if line is TOO_LONG else line.rstrip(_ENDS)

    def give_back(self) -> None:
        """Give back all lines of the record but the first, to be read again."""
        self.again.extend(reversed(self.record[1:]))
        del self.record[1:]


def _records(lines: _Lines, delimiter: str, width: int) -> Iterator[tuple[int, list[str] | BadRow]]:
    """Yield each record, or why it is none, with the line where it starts; blank ones are not."""
    if delimiter == DOUBLE_COLON:
        for line in lines.text:
            lines.before += 1
            if line is TOO_LONG:
                yield lines.before, _too_long(lines.before)
            elif line.strip():
                yield lines.before, line.rstrip(_ENDS).split(delimiter)
        return
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        start = lines.begin()
        plain = lines.unquoted()
        if plain is not None:
            # As the reader has it, at a fraction of the time.
            if plain is TOO_LONG:
                yield start, _too_long(start)
            elif plain:
                yield start, plain.split(delimiter)
            continue
        wrong = ""
        fields: list[str] = []
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            wrong = str(error)
        several = len(lines.record) > 1
        if several and not wrong and any(line is TOO_LONG for line in lines.record):
            yield start, _too_long(start)
            continue
        if not wrong and (not several or _fits(fields, width)):
            if fields:
                yield start, fields
            continue
        escaped = _escaped(lines.record[0], delimiter, width)
        lines.give_back()
        # What the reader has taken in of a record that is none stays in it.
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        if escaped is not None:
            yield start, escaped
        elif several:
            yield start, BadRow(start, "unclosed quote")
        else:
            yield start, BadRow(start, "malformed CSV", wrong)


def _too_long(line: int) -> BadRow:
    return BadRow(line, "line too long", f"more than {MAX_LINE_CHARACTERS:,} characters")


def _escaped(line: str, delimiter: str, width: int) -> list[str] | None:
    """Return the fields of a line in which a backslash escapes quotes; None of any other."""
    if '\\"' not in line:
        return None
    try:
        [fields] = csv.reader([line], delimiter=delimiter, strict=True, escapechar="\\")
    except (csv.Error, ValueError):
        return None
    return fields if _fits(fields, width) else None


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
            continue
        if not _fits(fields, width):
            detail = f"{len(fields)} instead of {width}"
            yield BadRow(start, "wrong number of fields", detail)
            continue
        joined = "".join(fields)
        if not joined.isascii() and not _is_text(joined):
            yield BadRow(start, "not in the file's encoding")
            continue
        if _FORMULA in joined:
            fields = list(map(_plain, fields))
        if all_named:
            yield Row(start, dict(zip(columns, fields, strict=False)))
        else:
            yield Row(start, {name: fields[at] for at, name in named})


def _plain(field: str) -> str:
    if field.startswith(_FORMULA) and field.endswith('"') and len(field) > len(_FORMULA):
        return field[len(_FORMULA) : -1]
    return field


def _is_text(joined: str) -> bool:
    try:
        joined.encode()
    except UnicodeEncodeError:
        return False
    return True
