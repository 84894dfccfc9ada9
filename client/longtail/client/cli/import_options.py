"""The options that both kinds of import share: how a file is read, and when it has failed."""

from typing import Annotated, NamedTuple

import typer
from longtail.client.importing.columns import Form, Scale
from longtail.client.importing.delimited import Dialect
from longtail.client.importing.times import Unit

File = Annotated[
    str,
    typer.Argument(
        help="A file of CSV or other delimited text, JSON Lines, a JSON array or Parquet, also "
        "packed by gzip, zstd or zip; - for standard input; a URL where fsspec is installed.",
    ),
]
FormOption = Annotated[
    Form,
    typer.Option(
        "--format",
        help="article: user_id,item_id,item_description,query; auto knows it by its header.",
    ),
]
Encoding = Annotated[
    str | None,
    typer.Option(help="Encoding of a text, such as cp1252 or gbk; found out without it."),
]
Delimiter = Annotated[
    str | None,
    typer.Option(
        help="What divides the fields: , ; | :: or \\t; found out without it.", show_default=False
    ),
]
Columns = Annotated[
    str | None,
    typer.Option(metavar="NAME,NAME...", help="Names of the columns of a text that has no header."),
]
Id = Annotated[
    str | None, typer.Option("--id", help="Column of item ids (item_id, id, movieId, asin, ...).")
]
Check = Annotated[
    bool,
    typer.Option(
        "--check",
        help="Write nothing: show what each column is read as, the first rows, and what would be "
        "dropped.",
    ),
]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict",
        help="Exit with 3 when a row was dropped, not only when the server failed on one.",
    ),
]
TimeUnit = Annotated[
    Unit | None, typer.Option(help="What numbers in the column of times count, since 1970.")
]
TimeFormat = Annotated[
    str | None, typer.Option(help="Form of the times as strptime has it, such as '%d/%m/%Y %H:%M'.")
]


def _scale(text: str) -> Scale:
    try:
        return Scale.parse(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is neither log nor a number above zero") from error


ScaleOption = Annotated[
    Scale | None,
    typer.Option(
        "--scale",
        parser=_scale,
        metavar="log|FACTOR",
        help="Bring values, after --neutral, into -1,000 to 1,000: times FACTOR, or, "
        "for what grows without end, such as plays, log2(1 + value).",
    ),
]


class NamedVector(NamedTuple):
    """The column of the vectors in a vector space."""

    name: str
    column: str


def _named_vector(text: str) -> NamedVector:
    name, _, column = text.partition("=")
    if not name or not column:
        raise typer.BadParameter(f"{text!r} is no NAME=COLUMN")
    return NamedVector(name, column)


NamedVectors = Annotated[
    list[NamedVector] | None,
    typer.Option(
        "--named-vector",
        parser=_named_vector,
        metavar="NAME=COLUMN",
        help="Column of vectors in the vector space NAME, as with --vector. Repeatable.",
    ),
]


def dialect(encoding: str | None, delimiter: str | None, columns: str | None) -> Dialect:
    """Return how a text is to be read."""
    names = tuple(name.strip() for name in columns.split(",")) if columns else ()
    if columns is not None and not all(names):
        raise typer.BadParameter("--columns has an empty name")
    if delimiter == "\\t":
        delimiter = "\t"
    if delimiter is not None and delimiter != "::" and len(delimiter) != 1:
        raise typer.BadParameter("--delimiter is one character, or ::")
    return Dialect(encoding, delimiter, names)
