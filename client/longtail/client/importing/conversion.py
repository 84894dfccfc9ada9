"""Turns the rows of a file into messages, and counts those of no use and those that come twice."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from longtail.client.importing.report import ImportReport, M, Numbered
from longtail.client.importing.rows import BadRow, Row
from longtail.client.importing.values import RowError
from longtail.v1.item_pb2 import Item


def converted(
    rows: Iterable[Row | BadRow], convert: Callable[[Mapping[str, Any]], M], report: ImportReport
) -> Iterator[Numbered[M]]:
    """Yield what `convert` makes of each row; one that cannot be used is dropped in `report`."""
    for row in rows:
        report.rows_read += 1
        if isinstance(row, Row):
            try:
                yield Numbered(row.line, convert(row.values))
            except RowError as error:
                report.drop(BadRow(row.line, error.reason, error.detail))
            except RecursionError:
                report.drop(BadRow(row.line, "nested too deep"))
        else:
            report.drop(row)


def first_of_each_id(
    items: Iterable[Numbered[Item]], seen: set[str], report: ImportReport
) -> Iterator[Numbered[Item]]:
    """Yield the first item of each id, which joins the `seen`; later ones are duplicates."""
    # Two rows of one id could be in flight at once, and either could be the last to be written.
    for numbered in items:
        if numbered.message.id in seen:
            report.duplicates += 1
        else:
            seen.add(numbered.message.id)
            yield numbered
