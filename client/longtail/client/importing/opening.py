"""Opens a file of rows for what it holds, whatever it is called."""

from collections.abc import Iterator
from contextlib import contextmanager

from longtail.client.importing.content import PARQUET, Content, content_of
from longtail.client.importing.delimited import Dialect, delimited
from longtail.client.importing.json_rows import json_array, json_lines
from longtail.client.importing.parquet_rows import parquet
from longtail.client.importing.rows import FileError, Source

# Read to see what a file begins with: blanks may come first.
BEGINNING = 4096


@contextmanager
def open_rows(name: str, dialect: Dialect = Dialect()) -> Iterator[Source]:  # noqa: B008 (frozen)
    """Open a file, "-" or a URL; FileError when it is missing, of no known kind or damaged."""
    with content_of(name) as content:
        yield _source(content, dialect)


def _source(content: Content, dialect: Dialect) -> Source:
    with content.opened() as binary:
        begins = binary.read(BEGINNING)
    if begins.startswith(PARQUET):
        return parquet(content)
    first = begins.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not first:
        raise FileError("there is no header")
    if first.startswith(b"{"):
        return json_lines(content)
    if first.startswith(b"["):
        return json_array(content)
    return delimited(content, dialect)
