"""`python -m bench ranking`: the time that ranking takes of one request, without the search.

Exit codes: 0 every bar is met, 1 one is missed or could not be measured, 2 wrong usage.
"""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from bench import machine, report, run
from bench.ranking.context import prepared
from bench.ranking.sections import SECTIONS, SIZES

_ROUNDS, _QUICK_ROUNDS = 7, 2
_REQUESTS, _QUICK_REQUESTS = 500, 100
_CORES = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, write it under --out; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bench ranking",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=run.home() / "bench",
        help="ranking.md and ranking.json (default: %(default)s)",
    )
    run.add_arguments(parser, SECTIONS, _ROUNDS, _CORES)
    options = parser.parse_args(arguments)
    out: Path = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    run.take_cores(options.cores)
    console = Console(stderr=True, highlight=False)
    rounds = options.rounds or (_QUICK_ROUNDS if options.quick else _ROUNDS)
    requests = _QUICK_REQUESTS if options.quick else _REQUESTS
    facts = {**machine.facts(), "rounds": str(rounds), "requests in each": str(requests)}
    sizes = tuple(candidates for candidates, *_ in SIZES)
    with (
        TemporaryDirectory(dir=out) as folder,
        prepared(Path(folder), sizes, rounds, requests, console.log) as bench,
    ):
        write = partial(report.write, out, "ranking", facts)
        return run.measure(SECTIONS, options.only, bench, facts, console, write)
