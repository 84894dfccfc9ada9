"""Reads a file as an import does, up to the messages that it would send."""

from pathlib import Path

from longtail.client.importing.columns import (
    Form,
    InteractionOptions,
    ItemOptions,
    interaction_columns,
    item_columns,
)
from longtail.client.importing.conversion import converted, first_of_each_id
from longtail.client.importing.delimited import Dialect
from longtail.client.importing.interaction_rows import interaction_reader
from longtail.client.importing.item_rows import item_reader
from longtail.client.importing.opening import open_rows
from longtail.client.importing.report import ImportReport
from longtail.client.importing.survey import surveyed
from longtail.client.importing.times import Times
from longtail.v1.interaction_service_pb2 import Interaction
from longtail.v1.item_pb2 import Item

AS_FOUND = Dialect()
BY_NAME, BY_NAMES = ItemOptions(), InteractionOptions()


def items_in(
    path: Path, options: ItemOptions = BY_NAME, dialect: Dialect = AS_FOUND
) -> tuple[list[Item], ImportReport]:
    """Return the items of a file, and what became of its rows."""
    with open_rows(str(path), dialect) as source:
        columns = item_columns(source, Form.AUTO, options)
        report = ImportReport(remarks=source.remarks)
        attributes = columns.attributes(source.columns)
        survey = surveyed(source, attributes, None, Times(), lambda fraction, rows: None)
        rows = converted(source.rows(), item_reader(columns, survey.columns), report)
        return [each.message for each in first_of_each_id(rows, set(), report)], report


def interactions_in(
    path: Path,
    options: InteractionOptions = BY_NAMES,
    times: Times | None = None,
    dialect: Dialect = AS_FOUND,
) -> tuple[list[Interaction], ImportReport]:
    """Return the interactions of a file, and what became of its rows."""
    with open_rows(str(path), dialect) as source:
        columns = interaction_columns(source, Form.AUTO, options)
        report = ImportReport(remarks=source.remarks)
        survey = surveyed(source, (), columns.time, times or Times(), lambda fraction, rows: None)
        read = interaction_reader(columns, survey.times)
        return [each.message for each in converted(source.rows(), read, report)], report
