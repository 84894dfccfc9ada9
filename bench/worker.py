"""`python -m bench worker`: the embedding worker against its baselines, figure by figure.

Exit codes: 0 every bar is met, 1 one is missed or could not be measured, 2 wrong usage.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from itertools import chain
from pathlib import Path

from rich.console import Console

from bench import environments, machine, report, run
from bench.figures import NotRun
from bench.generator import generator
from bench.section import Bench, Section
from bench.sections import (
    artefact,
    equality,
    hot,
    lanes,
    latency,
    memory,
    overload,
    padding,
    throughput,
)

_MODULES = (artefact, equality, throughput, latency, padding, lanes, overload, hot, memory)
SECTIONS: Sequence[Section[Bench]] = sorted(
    chain.from_iterable(module.SECTIONS for module in _MODULES), key=lambda section: section.number
)
# The bars were set for this many.
_CORES = 2
_ROUNDS, _QUICK_ROUNDS = 7, 2
_SECONDS, _QUICK_SECONDS = 10.0, 3.0
_MEMORY_BATCHES, _QUICK_MEMORY_BATCHES = 100_000, 2_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, write it under --out; return the exit code."""
    options = _parser().parse_args(arguments)
    out: Path = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    run.take_cores(options.cores)
    facts = machine.facts()
    console = Console(stderr=True, highlight=False)
    with generator() as load:
        bench = Bench(
            artefact=options.artefact,
            reference=options.reference,
            checkpoint_folder=options.checkpoint,
            data=options.data,
            out=out,
            rounds=options.rounds or (_QUICK_ROUNDS if options.quick else _ROUNDS),
            seconds=_QUICK_SECONDS if options.quick else _SECONDS,
            memory_batches=options.memory_batches
            or (_QUICK_MEMORY_BATCHES if options.quick else _MEMORY_BATCHES),
            generator=load,
            say=console.log,
        )
        facts = {**facts, **_what(bench)}
        write = partial(report.write, out, "worker", facts)
        return run.measure(SECTIONS, options.only, bench, facts, console, write)


def _what(bench: Bench) -> dict[str, str]:
    facts = {
        "rounds": str(bench.rounds),
        "infinity": environments.versions("infinity", "infinity_emb", "onnxruntime"),
        "sentence-transformers": environments.versions(
            "sentence-transformers", "sentence-transformers", "torch"
        ),
    }
    try:
        manifest = bench.bare.manifest
        facts["artefact"] = f"{manifest.model_id}, {manifest.precision}"
        facts["reference"] = bench.fp32.manifest.model_id
    except NotRun as error:
        facts["not at hand"] = str(error)
    return facts


def _parser() -> argparse.ArgumentParser:
    home = run.home()
    sections = "\n".join(f"  {section.number:2}  {section.title}" for section in SECTIONS)
    parser = argparse.ArgumentParser(
        prog="python -m bench worker",
        description=f"{__doc__}\nSections:\n{sections}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--artefact",
        type=Path,
        default=home / "models" / "all-MiniLM-L6-v2",
        help="what is measured (default: %(default)s)",
    )
    parser.add_argument("--reference", type=Path, help="the fp32 export of the same checkpoint")
    parser.add_argument(
        "--checkpoint",
        type=Path,
        default=home / "cache" / "all-MiniLM-L6-v2",
        help="what the others serve (default: %(default)s)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=home / "bench",
        help="worker.md, worker.json, logs and the others' environments (default: %(default)s)",
    )
    run.add_arguments(parser, SECTIONS, _ROUNDS, _CORES)
    parser.add_argument(
        "--memory-batches", type=int, help=f"of section 13 (default: {_MEMORY_BATCHES:,})"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
