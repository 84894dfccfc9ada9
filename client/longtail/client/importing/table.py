"""Imports tables that are in memory, such as data frames, by the rules of an import of files."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from longtail.client.calls.sync import LongtailClient
from longtail.client.importing.columns import (
    Form,
    InteractionOptions,
    ItemOptions,
    interaction_columns,
    item_columns,
)
from longtail.client.importing.conversion import converted, first_of_each_id
from longtail.client.importing.interaction_rows import interaction_reader
from longtail.client.importing.item_rows import item_reader
from longtail.client.importing.latest import at_lines, latest_lines, writing_latest
from longtail.client.importing.parquet_rows import plain
from longtail.client.importing.report import ImportReport
from longtail.client.importing.rows import Row, Rows, Source
from longtail.client.importing.sender import send
from longtail.client.importing.survey import surveyed
from longtail.client.importing.times import Times
from longtail.client.importing.writes import writing_interactions, writing_items

# A table of pyarrow, a data frame of pandas or polars, or rows as dictionaries.
Table = Any
BY_NAME, BY_NAMES = ItemOptions(), InteractionOptions()


def import_items_table(
    client: LongtailClient, table: Table, options: ItemOptions = BY_NAME
) -> ImportReport:
    """Write the items of a table, a row each, and return what became of the rows.

    `table` is one of pyarrow, a data frame of pandas or polars, or an iterable of dictionaries; its
    rows are numbered from 1. Raises FileError without a column of ids, and LongtailError when a
    batch is refused as a whole.
    """
    source = _source(table)
    columns = item_columns(source, Form.AUTO, options)
    report = ImportReport()
    rows = converted(source.rows(), item_reader(columns, {}), report)
    send(first_of_each_id(rows, set(), report), writing_items(client), report)
    return report


def import_interactions_table(
    client: LongtailClient,
    table: Table,
    options: InteractionOptions = BY_NAMES,
    times: Times | None = None,
    *,
    latest: bool = False,
) -> ImportReport:
    """Record the interactions of a table, a row each, as `import_items_table` does.

    `times` says how times are read where their forms do not. `latest`: the table says how things
    stand, so that of a person, item and type its latest row counts.
    """
    source = _source(table)
    columns = interaction_columns(source, Form.AUTO, options)
    survey = surveyed(source, (), columns.time, times or Times(), lambda fraction, rows: None)
    report = ImportReport()
    read = interaction_reader(columns, survey.times)
    rows = converted(source.rows(), read, report)
    write = writing_interactions(client)
    if latest:
        lines = latest_lines(converted(source.rows(), read, ImportReport()))
        rows, write = at_lines(rows, lines, report), writing_latest(client)
    send(rows, write, report)
    return report


def _source(table: Table) -> Source:
    if hasattr(table, "to_arrow"):
        table = table.to_arrow()
    elif not hasattr(table, "to_batches") and hasattr(table, "iloc"):
        import pyarrow

        table = pyarrow.Table.from_pandas(table, preserve_index=False)
    if hasattr(table, "to_batches"):
        batches = table.to_batches
        return _of(tuple(table.column_names), lambda: _numbered(_arrow_rows(batches())))
    rows: list[Mapping[str, Any]] = list(table)
    columns = tuple(dict.fromkeys(name for row in rows for name in row))
    return _of(columns, lambda: _numbered(rows))


def _of(columns: tuple[str, ...], rows: Callable[[], Rows]) -> Source:
    return Source(columns, rows, lambda: 1.0, typed=True)


def _arrow_rows(batches: Iterable[Any]) -> Iterable[Mapping[str, Any]]:
    for batch in batches:
        yield from plain(batch).to_pylist()


def _numbered(rows: Iterable[Mapping[str, Any]]) -> Rows:
    for number, row in enumerate(rows, 1):
        yield Row(number, row)
