"""Runs an import that has been set up: shows how far it is, and reports what became of the rows."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TypeVar

import typer
from google.protobuf.message import Message
from longtail.client import cli_output as output
from longtail.client.import_rows import Source
from longtail.client.import_sender import ImportReport, Numbered, Write, send
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

M = TypeVar("M", bound=Message)

SOME_DROPPED = 3


def run_import(
    messages: Iterator[Numbered[M]],
    write: Write[M],
    source: Source,
    report: ImportReport,
    strict: bool,
    as_json: bool,
) -> None:
    """Send the messages and print the report; exit with 3 when strict and a row was dropped."""
    started = time.monotonic()
    try:
        with _progress() as show:
            send(_shown(messages, source, report, show), write, report)
    finally:
        # What was acknowledged stays written, so it is reported even if the import breaks off.
        seconds = time.monotonic() - started
        if as_json:
            output.print_json({**asdict(report), "seconds": round(seconds, 3)})
        else:
            _show(report, seconds)
    if strict and report.dropped:
        raise typer.Exit(SOME_DROPPED)


@contextmanager
def _progress() -> Iterator[Callable[[float, ImportReport], None]]:
    columns = (
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %  {task.fields[rows]:,} rows"),
        TextColumn("{task.fields[rate]:,.0f} rows/s"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("import", total=1.0, rows=0, rate=0.0)
        started = time.monotonic()

        def show(fraction: float, report: ImportReport) -> None:
            rate = report.rows_read / max(time.monotonic() - started, 1e-9)
            progress.update(task, completed=fraction, rows=report.rows_read, rate=rate)

        yield show


def _shown(
    messages: Iterator[Numbered[M]],
    source: Source,
    report: ImportReport,
    show: Callable[[float, ImportReport], None],
) -> Iterator[Numbered[M]]:
    for numbered in messages:
        yield numbered
        show(source.fraction_read(), report)
    show(1.0, report)


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
        lines = ", ".join(map(str, dropped.lines))
        more = ", …" if dropped.count > len(dropped.lines) else ""
        detail = f"; the first: {dropped.detail}" if dropped.detail else ""
        rows.append((f"  {reason}", f"{dropped.count:,} (line {lines}{more}{detail})"))
    output.console().print(output.pairs(rows))
