"""`python -m bench request`: what a Recommend costs, beside the parts it cannot do without.

Exit codes: 0 every bar is met, 1 one is missed or could not be measured, 2 wrong usage.
"""

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from rich.console import Console

from bench import machine, report, run
from bench.generator import generator
from bench.request.context import RequestBench
from bench.request.sections import SECTIONS

_CORES = 2
_ROUNDS, _QUICK_ROUNDS = 3, 1
_CALLS, _QUICK_CALLS = 400, 100
_SECONDS, _QUICK_SECONDS = 4.0, 2.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, write it under --out; return the exit code."""
    home = run.home()
    sections = "\n".join(f"  {section.number:8}  {section.title}" for section in SECTIONS)
    parser = argparse.ArgumentParser(
        prog="python -m bench request",
        description=f"{__doc__}\nSections:\n{sections}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--artefact",
        type=Path,
        default=home / "models" / "all-MiniLM-L6-v2",
        help="the encoder (default: %(default)s)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=home / "bench",
        help="request.md, request.json, logs, and what is made once (default: %(default)s)",
    )
    run.add_arguments(parser, SECTIONS, _ROUNDS, _CORES)
    options = parser.parse_args(arguments)
    out: Path = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    run.take_cores(options.cores)
    console = Console(stderr=True, highlight=False)
    with generator() as load, generator() as other, ExitStack() as leaving:
        bench = RequestBench(
            artefact=options.artefact,
            data=options.data,
            out=out,
            rounds=options.rounds or (_QUICK_ROUNDS if options.quick else _ROUNDS),
            calls=_QUICK_CALLS if options.quick else _CALLS,
            seconds=_QUICK_SECONDS if options.quick else _SECONDS,
            generator=load,
            other=other,
            leaving=leaving,
            say=console.log,
        )
        facts = {**machine.facts(), "rounds": str(bench.rounds), "calls in each": str(bench.calls)}
        write = partial(report.write, out, "request", facts)
        return run.measure(SECTIONS, options.only, bench, facts, console, write)
