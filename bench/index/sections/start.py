"""How soon a server serves: from a good index, with cold files, and with the index file gone."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from longtail.server.catalogue.index.generation import GRAPH_FILE

from bench.figures import Measured, NotRun, at_most, median, reported, single
from bench.index.catalogue import queries
from bench.index.context import IndexBench
from bench.index.prepared import copied
from bench.index.rpc import Client, client
from bench.processes import Service, server, worker
from bench.section import Section

_WARM, _COLD = "start to SERVING", "start to SERVING, files not in memory"
_MISSING, _ANSWER, _BACK = (
    "start to SERVING without the graph",
    "answer without the graph",
    "until the graph is back",
)
_MOST_ROUNDS = 3
_BACK_SECONDS = 400.0
_POLL_SECONDS = 0.5


def _start(bench: IndexBench) -> Mapping[str, Measured]:
    warm, cold = [], []
    (query,) = queries(bench.catalogue, 1)
    with copied(bench.home, "home-start") as home, worker(bench.artefact, bench.out) as embedding:
        for _ in range(min(bench.rounds, _MOST_ROUNDS)):
            with _serving(home, embedding, bench) as (running, asked):
                warm.append(running.start_seconds)
                right = asked.recommend(query)
            _drop_from_memory(home)
            with _serving(home, embedding, bench) as (running, _):
                cold.append(running.start_seconds)
            bench.say(f"start: {warm[-1]:.1f} s, cold {cold[-1]:.1f} s")
        for file in home.rglob(GRAPH_FILE):
            file.unlink()
        with _serving(home, embedding, bench) as (running, asked):
            started = time.perf_counter()
            found = asked.recommend(query)
            seconds = time.perf_counter() - started
            # The graph may miss what a scan finds, but hardly the first of them.
            if found[:3] != right[:3]:
                raise NotRun(f"another answer without the graph: {found} instead of {right}")
            back = _until_back(asked, running)
    items = f"{len(bench.catalogue.ids):,} items"
    return {
        _WARM: median(warm, items),
        _COLD: median(cold, items),
        _MISSING: single(running.start_seconds, 1),
        _ANSWER: single(seconds * 1e3, 1, "the first"),
        _BACK: single(back, 1),
    }


@contextmanager
def _serving(home: Path, embedding: Service, bench: IndexBench) -> Iterator[tuple[Service, Client]]:
    with (
        server(home, embedding.address, bench.out) as running,
        client(running.address) as asked,
    ):
        yield running, asked


def _until_back(asked: Client, running: Service) -> float:
    start = time.perf_counter()
    while asked.index().delta_count:
        waited = time.perf_counter() - start
        if waited > _BACK_SECONDS:
            raise NotRun(f"the graph was not back after {waited:.0f} s")
        time.sleep(_POLL_SECONDS)
    return running.start_seconds + time.perf_counter() - start


def _drop_from_memory(home: Path) -> None:
    """Have the kernel forget what it caches of the files under `home`."""
    for path in home.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


SECTIONS = [
    Section(
        5,
        "start",
        {
            _WARM: at_most(10, "s"),
            _COLD: at_most(10, "s"),
            _MISSING: at_most(10, "s"),
            _ANSWER: reported("ms"),
            _BACK: reported("s"),
        },
        _start,
    )
]
