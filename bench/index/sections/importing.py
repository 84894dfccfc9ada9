"""The rate of an import through the command line, against what the worker alone embeds."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from longtail.v1 import embedding_service_pb2 as pb

from bench.closed_loop import grpc_calls
from bench.figures import Measured, NotRun, at_least, reported
from bench.generator import LoadError, checked, requests_of
from bench.index.catalogue import write_part
from bench.index.context import IndexBench
from bench.index.embedding import CALLERS, TEXTS_PER_CALL
from bench.index.rpc import client
from bench.processes import Service, our_environment, server, worker
from bench.section import NO_CACHE, Section

_RATE, _MERGED = "import rate", "with the last merge"
# Of the import, in turn with the worker alone.
_MOST_ROUNDS = 3
_MERGE_SECONDS = 300.0
# After so long without a merge none is due.
_SETTLED_SECONDS = 2.0
_POLL_SECONDS = 0.1
_BUILDING = "longtail_index_build_rows"


def _import(bench: IndexBench) -> Mapping[str, Measured]:
    rounds = min(bench.rounds, _MOST_ROUNDS)
    rows = bench.import_rows // rounds
    texts = bench.catalogue.to_encode[: rows * rounds]
    served: list[float] = []
    alone: list[float] = []
    merged: list[float] = []
    with (
        tempfile.TemporaryDirectory(dir=bench.out) as folder,
        worker(bench.artefact, bench.out, **NO_CACHE) as embedding,
        server(Path(folder), embedding.address, bench.out) as running,
        client(running.address) as asked,
    ):
        _embed(bench, embedding, texts[:TEXTS_PER_CALL])
        part = Path(folder) / "part.csv"
        for number in range(rounds):
            start = number * rows
            write_part(bench.data, start, rows, part)
            halves = texts[start : start + rows // 2], texts[start + rows // 2 : start + rows]
            before = _embed(bench, embedding, halves[0])
            seconds = _run(part, running.address)
            found = asked.index().live_count
            if found != start + rows:
                raise LoadError(f"{found:,} of {start + rows:,} items can be found")
            settled = _settled(running)
            after = _embed(bench, embedding, halves[1])
            served.append(rows / seconds)
            merged.append(rows / (seconds + settled))
            alone.append(rows / (before + after))
            bench.say(f"import: {served[-1]:,.0f} rows/s, worker alone {alone[-1]:,.0f} texts/s")
    note = f"{rounds} times {rows:,} rows into one store"
    return {_RATE: _share(served, alone, note), _MERGED: _share(merged, alone, note)}


def _embed(bench: IndexBench, embedding: Service, texts: Sequence[str]) -> float:
    """Return the seconds that the worker takes for texts, asked as fast as it can answer."""
    requests = requests_of(texts, TEXTS_PER_CALL, pb.LANE_BULK)
    arguments = embedding.address, requests, CALLERS
    return checked(bench.generator.run(grpc_calls, *arguments)).seconds


def _run(part: Path, address: str) -> float:
    """Import a file by the command line; return the seconds from its start to its end."""
    command = [sys.executable, "-m", "longtail.client.cli", "import", "items", str(part)]
    start = time.perf_counter()
    result = subprocess.run(  # noqa: S603  # built by us
        [*command, "--strict", "--json", "--address", address],
        env=our_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise LoadError(f"the import failed: {result.stderr or result.stdout}")
    return time.perf_counter() - start


def _settled(running: Service) -> float:
    """Return the seconds until the last merge that is due is done."""
    start = built = time.perf_counter()
    while (now := time.perf_counter()) - built < _SETTLED_SECONDS:
        if now - start > _MERGE_SECONDS:
            raise NotRun("merges do not come to an end")
        if any(running.counters(_BUILDING)):
            built = now
        time.sleep(_POLL_SECONDS)
    return built - start


def _share(ours: Sequence[float], theirs: Sequence[float], note: str) -> Measured:
    shares = 100 * np.divide(ours, theirs)
    our, their = float(np.median(ours)), float(np.median(theirs))
    told = f"{our:,.0f} rows/s against {their:,.0f} texts/s; {note}"
    return Measured(
        float(np.median(shares)), len(shares), float(shares.min()), float(shares.max()), told
    )


SECTIONS = [Section(7, "import", {_RATE: at_least(70, "%"), _MERGED: reported("%")}, _import)]
