"""`longtail import items` and `longtail import interactions`."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from longtail.client.calls.sync import LongtailClient
from longtail.client.cli import import_options, options
from longtail.client.cli.import_check import show_check
from longtail.client.cli.import_run import run_import
from longtail.client.cli.progress import progress_bar
from longtail.client.cli.prune import remove_others
from longtail.client.importing.columns import (
    Form,
    InteractionOptions,
    ItemOptions,
    Scale,
    interaction_columns,
    item_columns,
)
from longtail.client.importing.conversion import converted, first_of_each_id
from longtail.client.importing.delimited import Dialect
from longtail.client.importing.interaction_rows import interaction_reader
from longtail.client.importing.item_rows import item_reader
from longtail.client.importing.latest import at_lines, latest_lines, writing_latest
from longtail.client.importing.opening import open_rows
from longtail.client.importing.report import ImportReport
from longtail.client.importing.rows import FileError, Source
from longtail.client.importing.survey import surveyed
from longtail.client.importing.times import Times
from longtail.client.importing.writes import writing_interactions, writing_items

# A batch of long texts takes an encoder without a GPU many seconds.
BATCH_SECONDS = 60.0

app = typer.Typer(no_args_is_help=True, help="Load a catalogue or its history from a file.")


@app.command("items")
def import_items(
    file: import_options.File,
    item_id: import_options.Id = None,
    title: Annotated[str | None, typer.Option(help="Column of titles (title, name, ...).")] = None,
    text: Annotated[
        str | None, typer.Option(help="Column of texts (text, description, overview, ...).")
    ] = None,
    prior: Annotated[
        str | None,
        typer.Option(
            help="Column of popularity known from elsewhere (popularity_prior, popularity, "
            "monthly_downloads, downloads)."
        ),
    ] = None,
    vector: Annotated[
        str | None,
        typer.Option(
            help="Column of vectors of your own, lists of numbers or base64 of float32 (vector)."
        ),
    ] = None,
    named_vector: import_options.NamedVectors = None,
    list_column: Annotated[
        list[str] | None,
        typer.Option(help="Attribute that is a list: JSON, or divided by | ; or ,. Repeatable."),
    ] = None,
    text_column: Annotated[
        list[str] | None,
        typer.Option(help="Attribute that is text, whatever it looks like. Repeatable."),
    ] = None,
    number_column: Annotated[
        list[str] | None,
        typer.Option(help="Attribute that is a number; a row with another is bad. Repeatable."),
    ] = None,
    attribute: Annotated[
        list[str] | None,
        typer.Option(help="Column that is an attribute whatever its name says. Repeatable."),
    ] = None,
    ignore: Annotated[
        list[str] | None, typer.Option(help="Column that is left out. Repeatable.")
    ] = None,
    encoding: import_options.Encoding = None,
    delimiter: import_options.Delimiter = None,
    columns: import_options.Columns = None,
    form: import_options.FormOption = Form.AUTO,
    check: import_options.Check = False,
    prune: Annotated[
        bool,
        typer.Option(
            "--prune", help="Remove the items that the file does not have; asks first, with counts."
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    strict: import_options.Strict = False,
    address: options.Address = options.ADDRESS,
    timeout: options.Timeout = BATCH_SECONDS,
    as_json: options.Json = False,
) -> None:
    """Write the items of a file; an item that exists is replaced.

    The columns state (active, hidden, in_review), available_from, available_until and penalty are
    the item's own. Every other column becomes an attribute, of one type over the whole file. The
    first row of an id counts, later ones are duplicates. Rows that cannot be used are dropped and
    reported; where none can, that is an error.

    Running it again is harmless, also after a break: what is written already is not encoded again.
    """
    dialect = import_options.dialect(encoding, delimiter, columns)
    with LongtailClient(address, timeout=timeout) as client, _source(file, dialect) as source:
        mapping = item_columns(
            source,
            form,
            ItemOptions(
                item_id=item_id,
                title=title,
                text=text,
                prior=prior,
                vector=vector,
                named_vectors=named_vector or (),
                lists=list_column or (),
                texts=text_column or (),
                numbers=number_column or (),
                attributes=attribute or (),
                ignored=ignore or (),
            ),
        )
        with progress_bar("rows looked at") as show:
            survey = surveyed(source, mapping.attributes(source.columns), None, Times(), show)
        report, named = ImportReport(remarks=source.remarks), set[str]()
        rows = converted(source.rows(), item_reader(mapping, survey.columns), report)
        items = first_of_each_id(rows, named, report)
        if check:
            show_check(
                source, mapping.roles(source.columns, survey.columns), items, report, as_json
            )
            return

        def finish() -> None:
            if prune:
                remove_others(client, named, report, sure=yes)

        run_import(items, writing_items(client), source, report, strict, as_json, finish)


@app.command("interactions")
def import_interactions(
    file: import_options.File,
    user_id: Annotated[
        str | None, typer.Option("--user", help="Column of persons (user_id, customer_id, ...).")
    ] = None,
    one_user: Annotated[
        str,
        typer.Option(
            metavar="ID", help="The person of all rows: of a file that one person has of their own."
        ),
    ] = "",
    item_id: import_options.Id = None,
    value: Annotated[
        str | None, typer.Option(help="Column of values (rating, value, stars, ...).")
    ] = None,
    neutral: Annotated[
        float,
        typer.Option(
            help="Subtracted from every value: ratings below it push recommendations away."
        ),
    ] = 0.0,
    scale: import_options.ScaleOption = None,
    timestamp: Annotated[
        str | None,
        typer.Option(
            "--time",
            help="Column of times (timestamp, time, ...): numbers since 1970, ISO 8601 and other "
            "forms that can mean one moment only, UTC where no zone is said.",
        ),
    ] = None,
    time_unit: import_options.TimeUnit = None,
    time_format: import_options.TimeFormat = None,
    type_column: Annotated[str | None, typer.Option(help="Column of types (type, event).")] = None,
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
            help="Column of event ids (event_id; without it a hash of person, item, type, query, "
            "and time, or value where there is no time: importing again counts nothing twice)."
        ),
    ] = None,
    latest: Annotated[
        bool,
        typer.Option(
            "--latest",
            help="The file says how things stand: of a person, item and type its latest row "
            "counts, and is recorded where another value counts so far. Asks the server for each.",
        ),
    ] = False,
    encoding: import_options.Encoding = None,
    delimiter: import_options.Delimiter = None,
    columns: import_options.Columns = None,
    form: import_options.FormOption = Form.AUTO,
    check: import_options.Check = False,
    strict: import_options.Strict = False,
    address: options.Address = options.ADDRESS,
    timeout: options.Timeout = BATCH_SECONDS,
    as_json: options.Json = False,
) -> None:
    """Record the interactions of a file; those recorded before are duplicates and left alone.

    The column recommendation_token says which list led to an interaction. One that the server does
    not know drops no row: it is recorded as if it came from elsewhere, and reported.
    """
    dialect = import_options.dialect(encoding, delimiter, columns)
    with LongtailClient(address, timeout=timeout) as client, _source(file, dialect) as source:
        mapping = interaction_columns(
            source,
            form,
            InteractionOptions(
                user_id=user_id,
                one_user=one_user,
                item_id=item_id,
                value=value,
                neutral=neutral,
                scale=scale or Scale(),
                time=timestamp,
                type_column=type_column,
                type_name=type_name,
                query=query,
                event_id=event_id,
            ),
        )
        with progress_bar("rows looked at") as show:
            survey = surveyed(source, (), mapping.time, Times(time_unit, time_format), show)
        report = ImportReport(remarks=source.remarks)
        read = interaction_reader(mapping, survey.times)
        interactions = converted(source.rows(), read, report)
        write = writing_interactions(client)
        if latest:
            if mapping.event_id:
                raise FileError(
                    f"{file}: --latest is for a file of how things stand; {mapping.event_id!r} has "
                    "the ids of events"
                )
            lines = latest_lines(converted(source.rows(), read, ImportReport()))
            interactions = at_lines(interactions, lines, report)
            write = writing_latest(client)
        if check:
            show_check(source, mapping.roles(), interactions, report, as_json)
            return

        run_import(
            interactions,
            write,
            source,
            report,
            strict,
            as_json,
            lambda: None,
        )


@contextmanager
def _source(file: str, dialect: Dialect) -> Iterator[Source]:
    try:
        with open_rows(file, dialect) as source:
            yield source
    except FileError as error:
        raise FileError(f"{file}: {error}") from error
