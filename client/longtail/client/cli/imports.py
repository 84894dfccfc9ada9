"""`longtail import items` and `longtail import interactions`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from longtail.client.calls.sync import LongtailClient
from longtail.client.cli import options
from longtail.client.cli.import_run import run_import
from longtail.client.importing.columns import Form, interaction_columns, item_columns
from longtail.client.importing.conversion import converted, first_of_each_id
from longtail.client.importing.interaction_rows import interaction_from_row
from longtail.client.importing.item_rows import item_from_row
from longtail.client.importing.report import Acknowledgement, ImportReport
from longtail.client.importing.rows import FileError, Source, open_rows
from longtail.v1.interaction_service_pb2 import Interaction
from longtail.v1.item_pb2 import Item

# A batch of long texts takes an encoder without a GPU many seconds.
BATCH_SECONDS = 60.0

app = typer.Typer(no_args_is_help=True, help="Load a catalogue or its history from a file.")

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
Strict = Annotated[
    bool,
    typer.Option(
        "--strict",
        help="Exit with 3 when a row was dropped, not only when the server failed on one.",
    ),
]
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
        columns = item_columns(
            source.columns,
            form,
            item_id=item_id,
            title=title,
            text=text,
            prior=prior,
            lists=list_column or (),
            attributes=attribute or (),
        )

        def write(items: Sequence[Item], request_id: str) -> Acknowledgement:
            answer = client.upsert_items(items, request_id=request_id)
            written = sum(status.code == 0 for status in answer.statuses)
            return Acknowledgement(answer.statuses, written, answer.revision)

        report = ImportReport()
        numbered = converted(source.rows, lambda row: item_from_row(row, columns), report)
        run_import(first_of_each_id(numbered, report), write, source, report, strict, as_json)


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

    The column recommendation_token says which list led to an interaction. One that the server does
    not know drops no row: it is recorded as if it came from elsewhere, and reported.
    """
    with LongtailClient(address, timeout=timeout) as client, _source(file) as source:
        columns = interaction_columns(
            source.columns,
            form,
            user_id=user_id,
            item_id=item_id,
            value=value,
            neutral=neutral,
            time=timestamp,
            type_column=type_column,
            type_name=type_name,
            query=query,
            event_id=event_id,
        )

        def write(interactions: Sequence[Interaction], _request_id: str) -> Acknowledgement:
            # Their event_ids make a repetition harmless.
            answer = client.write_interactions(interactions)
            unattributed = [each.position for each in answer.unattributed]
            return Acknowledgement(
                answer.statuses, answer.recorded_count, answer.revision, unattributed
            )

        report = ImportReport()
        numbered = converted(source.rows, lambda row: interaction_from_row(row, columns), report)
        run_import(numbered, write, source, report, strict, as_json)


@contextmanager
def _source(file: Path) -> Iterator[Source]:
    try:
        with open_rows(file) as source:
            yield source
    except FileError as error:
        raise FileError(f"{file}: {error}") from error
