"""Opens a file of rows for what it holds, whatever it is called."""

from collections.abc import Iterator
from contextlib import contextmanager

from longtail.client.importing.content import PARQUET, Content, content_of
from longtail.client.importing.delimited import Dialect, delimited
from longtail.client.importing.json_rows import json_array, json_objects
from longtail.client.importing.parquet_rows import parquet
from longtail.client.importing.rows import FileError, Source
from longtail.client.importing.text import Text

# Read to see what a file begins with: blanks may come first.
BEGINNING = 4096


@contextmanager
def open_rows(name: str, dialect: Dialect = Dialect()) -> Iterator[Source]:  # noqa: B008 (frozen)
    """Open a file, "-" or a URL; FileError when it is missing, of no known kind or damaged."""
    with content_of(name) as content:
        yield _source(content, dialect)


def _source(content: Content, dialect: Dialect) -> Source:
    with content.opened() as binary:
        if binary.read(len(PARQUET)) == PARQUET:
            return parquet(content)
    text = Text(content, dialect.encoding)
    with text.opened() as lines:
        begins = lines.read(BEGINNING).lstrip()
    if not begins:
        raise FileError("there is no header")
    if begins.startswith("{"):
        return json_objects(text)
    if begins.startswith("["):
        return json_array(text)
    return delimited(text, dialect)
