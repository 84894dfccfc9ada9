"""`python -m bench index`: the store and the index against their baselines, figure by figure.

Exit codes: 0 every bar is met, 1 one is missed or could not be measured, 2 wrong usage.
"""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import fields
from functools import partial
from itertools import chain
from pathlib import Path

from longtail.server.settings import Settings
from rich.console import Console

from bench import machine, report, run
from bench.generator import generator
from bench.index.context import IndexBench
from bench.index.sections import filters, importing, memory, recall, speed, start, writes
from bench.section import Section

_MODULES = (recall, speed, writes, filters, start, memory, importing)
SECTIONS: Sequence[Section[IndexBench]] = sorted(
    chain.from_iterable(module.SECTIONS for module in _MODULES), key=lambda section: section.number
)
# The bars were set for this many.
_CORES = 2
_ROUNDS, _QUICK_ROUNDS = 7, 2
_QUERIES = 500
_SECONDS, _QUICK_SECONDS = 8.0, 3.0
_IMPORT_ROWS, _QUICK_IMPORT_ROWS, _ALL_ROWS = 30_000, 5_000, 192_875


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, write it under --out; return the exit code."""
    options = _parser().parse_args(arguments)
    out: Path = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    run.take_cores(options.cores)
    console = Console(stderr=True, highlight=False)
    rows = _QUICK_IMPORT_ROWS if options.quick else _IMPORT_ROWS
    facts = machine.facts()
    with generator() as load, ExitStack() as leaving:
        bench = IndexBench(
            artefact=options.artefact,
            data=options.data,
            out=out,
            rounds=options.rounds or (_QUICK_ROUNDS if options.quick else _ROUNDS),
            queries=options.queries,
            seconds=_QUICK_SECONDS if options.quick else _SECONDS,
            import_rows=_ALL_ROWS if options.full else rows,
            generator=load,
            leaving=leaving,
            say=console.log,
        )
        facts = {
            **facts,
            "rounds": str(bench.rounds),
            "queries of each kind": str(bench.queries),
            "settings": ", ".join(f"{name} {value}" for name, value in _settings()),
        }
        write = partial(report.write, out, "index", facts)
        return run.measure(SECTIONS, options.only, bench, facts, console, write)


def _settings() -> Iterator[tuple[str, object]]:
    settings = Settings()
    for field in fields(settings):
        if field.name.startswith("index_") or field.name == "candidates":
            yield field.metadata["variable"], getattr(settings, field.name)


def _parser() -> argparse.ArgumentParser:
    home = run.home()
    sections = "\n".join(f"  {section.number:2}  {section.title}" for section in SECTIONS)
    parser = argparse.ArgumentParser(
        prog="python -m bench index",
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
        help="index.md, index.json, logs, and what is made once: vectors, the store, the index "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--full", action="store_true", help=f"import all items, not {_IMPORT_ROWS:,}"
    )
    parser.add_argument(
        "--queries", type=int, default=_QUERIES, help="of each kind (default: %(default)s)"
    )
    run.add_arguments(parser, SECTIONS, _ROUNDS, _CORES)
    return parser
