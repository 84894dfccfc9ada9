"""Runs an import that has been set up: shows how far it is, and reports what became of the rows."""

import time
from collections.abc import Callable, Iterator

import typer
from longtail.client.cli import output
from longtail.client.cli.progress import Show, progress_bar
from longtail.client.importing.patience import Write
from longtail.client.importing.report import ImportReport, M, Numbered
from longtail.client.importing.rows import FileError, Source
from longtail.client.importing.sender import send

SOME_DROPPED = 3


def run_import(
    messages: Iterator[Numbered[M]],
    write: Write[M],
    source: Source,
    report: ImportReport,
    strict: bool,
    as_json: bool,
    finish: Callable[[], None],
) -> None:
    """Send the messages, `finish`, and print the report.

    Exits with 3 when strict and a row was dropped, and when the server failed on one. FileError
    when no row was of use.

    An interrupted import reports what was acknowledged, and the interruption goes on to the caller.
    """
    started = time.monotonic()
    try:
        with progress_bar("rows") as show:
            send(_shown(messages, source, report, show), write, report)
        finish()
    finally:
        # What was acknowledged stays written, so it is reported even if the import breaks off.
        seconds = time.monotonic() - started
        if as_json:
            output.print_json({**report.as_json(), "seconds": round(seconds, 3)})
        else:
            _show(report, seconds)
    if not report.useful and not report.failed:
        raise FileError(report.of_no_use())
    if report.failed or (strict and report.dropped):
        raise typer.Exit(SOME_DROPPED)


def _shown(
    messages: Iterator[Numbered[M]],
    source: Source,
    report: ImportReport,
    show: Show,
) -> Iterator[Numbered[M]]:
    for numbered in messages:
        yield numbered
        show(source.fraction_read(), report.rows_read)
    show(1.0, report.rows_read)


def _imported(report: ImportReport) -> str:
    if not (report.added or report.unchanged):
        return f"{report.imported:,}"
    changed = report.imported - report.added
    return (
        f"{report.imported:,} ({report.added:,} added, {changed:,} changed; {report.unchanged:,} "
        "were there as they are)"
    )


def _show(report: ImportReport, seconds: float) -> None:
    rows = [
        ("rows read", f"{report.rows_read:,}"),
        ("imported", _imported(report)),
        ("duplicates", f"{report.duplicates:,}"),
        ("dropped", f"{report.dropped_count:,}"),
        ("revision", str(report.revision)),
        ("seconds", f"{seconds:.1f}"),
    ]
    if report.removed:
        rows.insert(3, ("removed", f"{report.removed:,}"))
    output.console().print(output.pairs([*rows, *report.told()]))
