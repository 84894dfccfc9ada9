"""A run over sections: the cores it takes, what it logs, and the table at its end."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from rich.console import Console

from bench import report
from bench.figures import Figure
from bench.section import Section

B = TypeVar("B")


def take_cores(count: int) -> None:
    """Keep this process, and all that it starts, to `count` cores: load and loaded share them."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])
    # As in the worker: its own threads would compete with the inference for the cores.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    # An exit like any other, so that what was started is stopped.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))


def measure(
    sections: Sequence[Section[B]],
    only: Sequence[str] | None,
    bench: B,
    facts: Mapping[str, str],
    console: Console,
    write: Callable[[Sequence[Figure]], None],
) -> int:
    """Measure the sections, print the table; return the exit code, 0 when every bar is met.

    `write` is given all figures so far after each section, so that what is there is not lost with
    what comes after.
    """
    figures: list[Figure] = []
    for section in sections:
        if only and str(section.number) not in only:
            continue
        console.rule(f"{section.number} {section.title}")
        measured = section.figures(bench)
        for figure in measured:
            console.log(report.line(figure), markup=False)
        figures += measured
        write(figures)
    sys.stdout.write(report.as_markdown(facts, figures))
    return 0 if all(figure.is_met for figure in figures) else 1


def names_of(sections: Sequence[Section[B]]) -> Callable[[str], list[str]]:
    """Return the type of an option that names sections, such as 5,6."""
    known = {str(section.number) for section in sections}

    def parse(text: str) -> list[str]:
        names = text.split(",")
        unknown = sorted(set(names) - known)
        if unknown:
            raise argparse.ArgumentTypeError(f"there is no section {unknown[0]}")
        return names

    return parse


def add_arguments(
    parser: argparse.ArgumentParser, sections: Sequence[Section[B]], rounds: int, cores: int
) -> None:
    """Add what every bench can be told: data, sections, rounds and cores."""
    parser.add_argument(
        "--data",
        type=Path,
        default=data(),
        help="the development data (default: $LONGTAIL_DATA or %(default)s)",
    )
    parser.add_argument(
        "--only", type=names_of(sections), metavar="2,3", help="sections to measure"
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds: does it work at all?")
    parser.add_argument("--rounds", type=int, help=f"(default: {rounds})")
    parser.add_argument("--cores", type=int, default=cores, help="(default: %(default)s)")


def home() -> Path:
    """Return the folder of all state."""
    return Path(os.environ.get("LONGTAIL_HOME") or "var")


def data() -> Path:
    """Return the folder of the development data."""
    return Path(os.environ.get("LONGTAIL_DATA") or "../shared/data")
