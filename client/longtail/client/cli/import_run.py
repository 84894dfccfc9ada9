"""Runs an import that has been set up: shows how far it is, and reports what became of the rows."""

import time
from collections.abc import Iterator
from dataclasses import asdict

import typer
from longtail.client.cli import output
from longtail.client.cli.progress import Show, progress_bar
from longtail.client.importing.patience import Write
from longtail.client.importing.report import ImportReport, M, Numbered
from longtail.client.importing.rows import Source
from longtail.client.importing.sender import send

SOME_DROPPED = 3


def run_import(
    messages: Iterator[Numbered[M]],
    write: Write[M],
    source: Source,
    report: ImportReport,
    strict: bool,
    as_json: bool,
) -> None:
    """Send the messages and print the report.

    Exits with 3 when strict and a row was dropped, and when the server failed on one.

    An interrupted import reports what was acknowledged, and the interruption goes on to the caller.
    """
    started = time.monotonic()
    try:
        with progress_bar("rows") as show:
            send(_shown(messages, source, report, show), write, report)
    finally:
        # What was acknowledged stays written, so it is reported even if the import breaks off.
        seconds = time.monotonic() - started
        if as_json:
            output.print_json({**asdict(report), "seconds": round(seconds, 3)})
        else:
            _show(report, seconds)
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


def _show(report: ImportReport, seconds: float) -> None:
    rows = [
        ("rows read", f"{report.rows_read:,}"),
        ("imported", f"{report.imported:,}"),
        ("duplicates", f"{report.duplicates:,}"),
        ("dropped", f"{report.dropped_count:,}"),
        ("revision", str(report.revision)),
        ("seconds", f"{seconds:.1f}"),
    ]
    for reason, dropped in report.dropped.items():
        detail = f"; the first: {dropped.detail}" if dropped.detail else ""
        rows.append((f"  {reason}", f"{dropped.told()}{detail}"))
    if report.unattributed.count:
        rows.append(("of no known list", report.unattributed.told()))
    output.console().print(output.pairs(rows))
