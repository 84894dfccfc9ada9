"""`python -m bench PART`: measure a part of Longtail against its baselines, figure by figure.

Exit codes: 0 every bar is met, 1 one is missed or could not be measured, 2 wrong usage.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.capacity.command import main as capacity
from bench.context import home
from bench.figures import Figure, Section, as_json, as_markdown
from bench.load import generator

# Each a module with its SECTIONS and the Context that they share.
PARTS = (
    *("worker", "index", "ranking", "request", "attacks", "engines", "imports"),
    "reembedding",
)
# Measures nothing: it reads out what follows from what was measured.
CAPACITY = "capacity"
# Those that are folders, with their sections in one of its modules.
_FOLDERS = ("index", "request", "attacks")
# The bars were set for this many.
_CORES = 2
_ROUNDS, _QUICK_ROUNDS = 5, 2
_LIBRARIES = ("onnxruntime-gpu", "tokenizers", "numpy", "grpcio", "protobuf", "hnswlib")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, write it under --out; return the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    part = arguments[0] if arguments else ""
    if part == CAPACITY:
        return capacity(arguments[1:])
    if part not in PARTS:
        named = ",".join((*PARTS, CAPACITY))
        sys.stderr.write(f"usage: python -m bench {{{named}}} [OPTION]...\n")
        return 2
    module = import_module(f"bench.{part}.sections" if part in _FOLDERS else f"bench.{part}")
    sections: Sequence[Section[Any]] = module.SECTIONS
    options = _parser(part, sections).parse_args(arguments[1:])
    options.rounds = options.rounds or (_QUICK_ROUNDS if options.quick else _ROUNDS)
    options.out = options.out.resolve()
    options.out.mkdir(parents=True, exist_ok=True)
    # Load and loaded share the cores, with all that they start.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    # As in the worker: its own threads would compete with the inference for the cores.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    # An exit like any other, so that what was started is stopped.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    facts = {**_machine(), "rounds": str(options.rounds)}
    console = Console(stderr=True, highlight=False)
    figures: list[Figure] = []
    with generator() as load, generator() as other, ExitStack() as leaving:
        bench = module.Context(options, load, other, leaving, console.log)
        for section in sections:
            if options.only and section.name not in options.only:
                continue
            console.rule(f"{section.name} {section.title}")
            measured = section.figures(bench)
            for figure in measured:
                console.log(str(figure), markup=False)
            figures += measured
            # So that what is there is not lost with what comes after.
            _write(options.out / part, facts, figures)
    sys.stdout.write(as_markdown(facts, figures))
    return 0 if all(figure.verdict in ("met", "told") for figure in figures) else 1


def _write(path: Path, facts: Mapping[str, str], figures: Sequence[Figure]) -> None:
    text = json.dumps(as_json(facts, figures), indent=2, ensure_ascii=False)
    path.with_suffix(".json").write_text(text + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(as_markdown(facts, figures), encoding="utf-8")


def _machine() -> dict[str, str]:
    """Describe what the figures are taken on, without which they mean nothing."""
    first, _, _ = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")
    pairs = (line.partition(":") for line in first.splitlines())
    info = {name.strip(): value.strip() for name, _, value in pairs}
    return {
        "processor": info.get("model name", platform.processor() or "unknown"),
        "VNNI": "yes" if {"avx512_vnni", "avx_vnni"} & set(info.get("flags", "").split()) else "no",
        "cores used": f"{len(os.sched_getaffinity(0))} of {os.cpu_count()}",
        # The figures are ratios in one run, but a busy machine widens their spread.
        "load before the run": f"{os.getloadavg()[0]:.2f}",
        "system": platform.platform(),
        "Python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in _LIBRARIES},
    }


def _parser(part: str, sections: Sequence[Section[Any]]) -> argparse.ArgumentParser:
    listed = "\n".join(f"  {section.name:8}  {section.title}" for section in sections)
    parser = argparse.ArgumentParser(
        prog=f"python -m bench {part}",
        description=f"{__doc__}\nSections:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    folders = {
        "--artefact": (home() / "models" / "all-MiniLM-L6-v2", "the encoder"),
        "--reference": (home() / "models" / "all-MiniLM-L6-v2-fp32", "the same, exported in fp32"),
        "--checkpoint": (home() / "cache" / "all-MiniLM-L6-v2", "what others serve"),
        "--data": (Path(os.environ.get("LONGTAIL_DATA") or "../shared/data"), "to develop with"),
        "--out": (home() / "bench", f"{part}.md, {part}.json, logs, and what is made once"),
    }
    for name, (default, what) in folders.items():
        parser.add_argument(name, type=Path, default=default, help=f"{what} (%(default)s)")
    names = [section.name for section in sections]
    parser.add_argument("--only", type=_names(names), metavar="NAME,...", help="sections")
    parser.add_argument("--quick", action="store_true", help="less of all: does it work?")
    parser.add_argument("--rounds", type=int, help=f"turns that are taken ({_ROUNDS})")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each attack (%(default)s)")
    parser.add_argument("--items", type=int, help="of the catalogue, the first so many (all)")
    parser.add_argument("--engine", metavar="URL", help="as LONGTAIL_INDEX_ENGINE is set")
    parser.add_argument("--store", metavar="URL", help="as LONGTAIL_STORE is set")
    parser.add_argument("--rows", type=int, default=30_000, help="that are imported (%(default)s)")
    parser.add_argument("--cores", type=int, default=_CORES, help="(%(default)s)")
    return parser


def _names(known: Sequence[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        for name in text.split(","):
            if name not in known:
                raise argparse.ArgumentTypeError(f"there is no section {name}")
        return text.split(",")

    return parse


if __name__ == "__main__":
    sys.exit(main())
