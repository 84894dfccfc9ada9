"""`longtail import --check`: what would be read of a file, with nothing written."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from google.protobuf.message import Message
from longtail.client.cli import output
from longtail.client.importing.report import ImportReport, M, Numbered
from longtail.client.importing.rows import FileError, Source

ROWS_SHOWN = 3
FLOAT_BYTES = 4


def show_check(
    source: Source,
    roles: Mapping[str, str],
    messages: Iterable[Numbered[M]],
    report: ImportReport,
    as_json: bool,
) -> None:
    """Convert every row, send none, and print what each column is, the first rows and the drops.

    `roles`: what each column is read as. FileError when no row is of use, as an import has it.
    """
    remaining = iter(messages)
    first: Sequence[Numbered[M]] = list(islice(remaining, ROWS_SHOWN))
    usable = len(first) + sum(1 for _ in remaining)
    read = {name: roles.get(name, "not read") for name in source.columns}
    _show(read, first, usable, report, as_json)
    if not usable + report.duplicates:
        raise FileError(report.of_no_use())


def _show(
    read: Mapping[str, str],
    first: Sequence[Numbered[M]],
    usable: int,
    report: ImportReport,
    as_json: bool,
) -> None:
    if as_json:
        output.print_json(
            {
                "columns": dict(read),
                "remarks": list(report.remarks),
                "first": [_shown(numbered.message) for numbered in first],
                "rows_read": report.rows_read,
                "usable": usable,
                "duplicates": report.duplicates,
                "dropped": report.as_json()["dropped"],
            }
        )
        return
    console = output.console()
    console.print(output.table([("column", False), ("read as", False)], list(read.items())))
    for numbered in first:
        console.print(f"line {numbered.line}: {_shown(numbered.message)}", markup=False)
    rows = [
        ("rows read", f"{report.rows_read:,}"),
        ("usable", f"{usable:,}"),
        ("duplicates", f"{report.duplicates:,}"),
        ("dropped", f"{report.dropped_count:,}"),
        *report.told(),
    ]
    console.print(output.pairs(rows))


def _shown(message: Message) -> dict[str, object]:
    shown = {field.name: value for field, value in message.ListFields()}
    values = {name: output.message_as_dict(message)[name] for name in shown}
    if "vector" in values:
        values["vector"] = f"{len(shown['vector']) // FLOAT_BYTES} numbers"
    return values
