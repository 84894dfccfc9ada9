"""`longtail import items` and `longtail import interactions`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from google.protobuf.message import Message
from longtail.client.calls.sync import LongtailClient
from longtail.client.cli import options
from longtail.client.cli.import_run import run_import
from longtail.client.importing.columns import (
    ARTICLE_COLUMNS,
    InteractionColumns,
    ItemColumns,
    choose,
    interaction_from_row,
    item_from_row,
    require,
)
from longtail.client.importing.rows import BadRow, FileError, Row, Source, open_rows
from longtail.client.importing.sender import Acknowledgement, ImportReport, Numbered
from longtail.client.importing.values import RowError
from longtail.v1.interaction_service_pb2 import Interaction
from longtail.v1.item_pb2 import Item

M = TypeVar("M", bound=Message)

# A batch of long texts takes an encoder without a GPU many seconds.
BATCH_SECONDS = 60.0

# The last two are what registries of packages call it.
PRIOR_COLUMNS = ("popularity_prior", "popularity", "monthly_downloads", "downloads")
OUTPUT_ONLY = frozenset({"create_time", "update_time"})

app = typer.Typer(no_args_is_help=True, help="Load a catalogue or its history from a file.")


class Form(StrEnum):
    """How the columns of a file are understood."""

    AUTO = "auto"
    ARTICLE = "article"


File = Annotated[
    Path, typer.Argument(help="A .csv, .jsonl or .ndjson file, each also .gz, or a .parquet file.")
]
FormOption = Annotated[
    Form,
    typer.Option(
        "--format",
        help="article: user_id,item_id,item_description,query; auto knows it by its header.",
    ),
]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with 3 when a row was dropped.")]
Id = Annotated[str | None, typer.Option("--id", help="Column of item ids (item_id, id).")]


@app.command("items")
def import_items(
    file: File,
    item_id: Id = None,
    title: Annotated[str | None, typer.Option(help="Column of titles (title).")] = None,
    text: Annotated[str | None, typer.Option(help="Column of descriptions (text).")] = None,
    prior: Annotated[
        str | None,
        typer.Option(
            help="Column of popularity known from elsewhere (popularity_prior, popularity, "
            "monthly_downloads, downloads)."
        ),
    ] = None,
    list_column: Annotated[
        list[str] | None, typer.Option(help="Attribute that is a list split at |. Repeatable.")
    ] = None,
    attribute: Annotated[
        list[str] | None,
        typer.Option(help="Column that is an attribute whatever its name says. Repeatable."),
    ] = None,
    form: FormOption = Form.AUTO,
    strict: Strict = False,
    address: options.Address = options.ADDRESS,
    timeout: options.Timeout = BATCH_SECONDS,
    as_json: options.Json = False,
) -> None:
    """Write the items of a file; an item that exists is replaced.

    The columns state (active, hidden, in_review), available_from, available_until and penalty are
    the item's own. Every other column becomes an attribute. The first row of an id counts, later
    ones are duplicates. Rows that cannot be used are dropped and reported.

    Running it again is harmless, also after a break: what is written already is not encoded again.
    """
    with LongtailClient(address, timeout=timeout) as client, _source(file) as source:
        article = _is_article(source, form)
        kept = {require(source.columns, name, (), "attribute") for name in attribute or ()}
        known = [name for name in source.columns if name not in kept]
        columns = ItemColumns(
            item_id=require(known, item_id, ("item_id", "id"), "id"),
            title=choose(known, title, ("title",), "title"),
            text=choose(known, text, ("item_description",) if article else ("text",), "text"),
            prior=choose(known, prior, PRIOR_COLUMNS, "prior"),
            state=choose(known, None, ("state",), "state"),
            available_from=choose(known, None, ("available_from",), "start"),
            available_until=choose(known, None, ("available_until",), "end"),
            penalty=choose(known, None, ("penalty",), "penalty"),
            list_columns=frozenset(
                require(source.columns, name, (), "list") for name in list_column or ()
            ),
            ignored=_ignored(source, article),
        )

        def write(items: Sequence[Item], request_id: str) -> Acknowledgement:
            answer = client.upsert_items(items, request_id=request_id)
            written = sum(status.code == 0 for status in answer.statuses)
            return Acknowledgement(answer.statuses, written, answer.revision)

        report = ImportReport()
        numbered = _mapped(source, lambda row: item_from_row(row, columns), report)
        run_import(_first_of_each_id(numbered, report), write, source, report, strict, as_json)


@app.command("interactions")
def import_interactions(
    file: File,
    user_id: Annotated[
        str | None, typer.Option("--user", help="Column of persons (user_id).")
    ] = None,
    item_id: Id = None,
    value: Annotated[str | None, typer.Option(help="Column of values (rating, value).")] = None,
    neutral: Annotated[
        float,
        typer.Option(
            help="Subtracted from every value: ratings below it push recommendations away."
        ),
    ] = 0.0,
    timestamp: Annotated[
        str | None,
        typer.Option("--time", help="Column of seconds or ISO 8601, else UTC (timestamp, time)."),
    ] = None,
    type_column: Annotated[str | None, typer.Option(help="Column of types (type).")] = None,
    type_name: Annotated[
        str | None,
        typer.Option(
            "--type",
            help="Type where no column says it (query in the article's form, else rating where "
            "there are values, else view).",
        ),
    ] = None,
    query: Annotated[str | None, typer.Option(help="Column of queries (query).")] = None,
    event_id: Annotated[
        str | None,
        typer.Option(
            help="Column of event ids (event_id; without it a hash of person, item, type, time "
            "and query, so that importing again counts nothing twice)."
        ),
    ] = None,
    form: FormOption = Form.AUTO,
    strict: Strict = False,
    address: options.Address = options.ADDRESS,
    timeout: options.Timeout = BATCH_SECONDS,
    as_json: options.Json = False,
) -> None:
    """Record the interactions of a file; those recorded before are duplicates and left alone.

    The column recommendation_token says which list led to an interaction.
    """
    with LongtailClient(address, timeout=timeout) as client, _source(file) as source:
        article = _is_article(source, form)
        values = choose(source.columns, value, ("rating", "value"), "value")
        columns = InteractionColumns(
            user_id=require(source.columns, user_id, ("user_id",), "person"),
            item_id=require(source.columns, item_id, ("item_id", "id"), "id"),
            default_type=type_name or ("query" if article else "rating" if values else "view"),
            value=values,
            time=choose(source.columns, timestamp, ("timestamp", "time"), "time"),
            type=choose(source.columns, type_column, ("type",), "type"),
            query=choose(source.columns, query, ("query",), "query"),
            event_id=choose(source.columns, event_id, ("event_id",), "event id"),
            recommendation_token=choose(source.columns, None, ("recommendation_token",), "token"),
            neutral=neutral,
            needs_query=article,
        )

        def write(interactions: Sequence[Interaction], _request_id: str) -> Acknowledgement:
            # Their event_ids make a repetition harmless.
            answer = client.write_interactions(interactions)
            return Acknowledgement(answer.statuses, answer.recorded_count, answer.revision)

        report = ImportReport()
        numbered = _mapped(source, lambda row: interaction_from_row(row, columns), report)
        run_import(numbered, write, source, report, strict, as_json)


@contextmanager
def _source(file: Path) -> Iterator[Source]:
    try:
        with open_rows(file) as source:
            yield source
    except FileError as error:
        raise FileError(f"{file}: {error}") from error


def _is_article(source: Source, form: Form) -> bool:
    if form is Form.ARTICLE:
        for column in sorted(ARTICLE_COLUMNS):
            require(source.columns, column, (), "article's form")
        return True
    return set(source.columns) == ARTICLE_COLUMNS


def _ignored(source: Source, article: bool) -> frozenset[str]:
    if article:
        return frozenset({"user_id", "query"})
    # An export of ours says what only the server writes.
    return OUTPUT_ONLY if set(source.columns) >= OUTPUT_ONLY | {"id", "state"} else frozenset()


def _mapped(
    source: Source, convert: Callable[[Mapping[str, Any]], M], report: ImportReport
) -> Iterator[Numbered[M]]:
    for row in source.rows:
        report.rows_read += 1
        if isinstance(row, Row):
            try:
                yield Numbered(row.line, convert(row.values))
            except RowError as error:
                report.drop(BadRow(row.line, error.reason, error.detail))
        else:
            report.drop(row)


def _first_of_each_id(
    items: Iterator[Numbered[Item]], report: ImportReport
) -> Iterator[Numbered[Item]]:
    # Two rows of one id could be in flight at once, and either could be the last to be written.
    seen: set[str] = set()
    for numbered in items:
        if numbered.message.id in seen:
            report.duplicates += 1
        else:
            seen.add(numbered.message.id)
            yield numbered
