"""A bar on standard error for what takes long; nothing where that is no terminal."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

# Takes the share that is done, 0 to 1 or None while it is not known, and the count that is done.
Show = Callable[[float | None, int], None]


@contextmanager
def progress_bar(unit: str) -> Iterator[Show]:
    """Show a bar, a count of `unit`, its rate and the time that is left, until the block ends."""
    columns = (
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %  {task.fields[count]:,} {task.fields[unit]}"),
        TextColumn("{task.fields[rate]:,.0f}/s"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("", total=None, count=0, unit=unit, rate=0.0)
        started = time.monotonic()

        def show(fraction: float | None, count: int) -> None:
            rate = count / max(time.monotonic() - started, 1e-9)
            total = None if fraction is None else 1.0
            progress.update(task, total=total, completed=fraction or 0.0, count=count, rate=rate)

        yield show
