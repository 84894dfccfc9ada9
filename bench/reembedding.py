"""A change of encoder by one process and by two, each with a worker on a core of its own.

The index is not built: what is measured is the division of the encoding.
"""

import asyncio
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from subprocess import Popen
from tempfile import TemporaryDirectory
from typing import Any, cast

import numpy as np
from longtail.server.catalogue.replica import CatalogueReplica
from longtail.server.encoder.encoder import Encoder
from longtail.server.operations.lease_holder import LeaseHolder
from longtail.server.operations.progress import Progress
from longtail.server.operations.reembedding import LEASE_TEXTS, Reembedding
from longtail.server.store.record_store import DATABASE, RecordStore
from longtail.server.store.records import EncoderBinding, ItemContent, NewItem, OperationKind

from bench.context import Context
from bench.figures import Measured, NotRun, Sections, against, single
from bench.processes import Service, free_address, our_environment, running, worker

__all__ = ["SECTIONS", "Context"]

SECTIONS: Sections[Context] = Sections()

_OLD = EncoderBinding("old@1", 2)
# Of each encoder in a round: enough ranges for the last of them to matter little.
_ROUND_TEXTS = 5 * LEASE_TEXTS
_WRITTEN_AT_ONCE = 2000
_POLL_SECONDS = 0.05
_MAX_WAITING_WRITES = 1000
# No name of a folder is used twice.
_NUMBERS = count()


class _Encoded(Exception):
    """All is encoded."""


class _NoView:
    """In place of the view of a server, which is asked for nothing but this."""

    def unstage(self) -> None:
        """Nothing is staged."""


@dataclass(frozen=True)
class _Change:
    """How a change went: the seconds, what was asked of the workers, and what has no vector."""

    seconds: float
    asked: int
    missing: int


@contextmanager
def _workers(bench: Context, cores: Sequence[int]) -> Iterator[dict[int, Service]]:
    """Run a worker on each of the cores."""
    with ExitStack() as stack:
        started = {}
        for core in cores:
            out = bench.out / f"core-{core}"
            out.mkdir(exist_ok=True)
            with _on(core):
                encoding = worker(
                    bench.options.artefact,
                    out,
                    LONGTAIL_WORKER_CACHE_MB="0",
                    LONGTAIL_WORKER_SLOTS="1",
                )
                started[core] = stack.enter_context(encoding)
        yield started


@contextmanager
def _on(core: int) -> Iterator[None]:
    """Have what is started run on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _changed(
    bench: Context, texts: Sequence[str], workers: Mapping[int, Service], killed: bool = False
) -> _Change:
    """Change the encoder of a new store of `texts` by a process for each worker, on its core.

    The last of them is `killed` when half of the texts have a vector.
    """
    binding = bench.bare.manifest
    coming = EncoderBinding(binding.model_id, binding.dimension)
    with TemporaryDirectory(dir=bench.out) as folder, ExitStack() as stack:
        path = Path(folder) / DATABASE
        store = RecordStore.open(path)
        stack.callback(store.close)
        _fill(store, texts)
        logs, processes = [], []
        for core, each in workers.items():
            logs.append(Path(folder) / f"asked-{core}")
            logs[-1].touch()
            command = [sys.executable, "-m", "bench.encoding", str(path), each.address]
            log = bench.out / f"encoding-{next(_NUMBERS)}.log"
            with _on(core):
                started = running([*command, str(logs[-1])], our_environment(), log)
                processes.append(stack.enter_context(started))
        victim = processes[-1] if killed else None
        seconds = asyncio.run(_own(store, coming, len(texts), victim))
        missing = store.encoders.pending_count(_next_id(store))
        asked = sum(int(line) for log in logs for line in log.read_text().split())
        return _Change(seconds, asked, missing)


def _fill(store: RecordStore, texts: Sequence[str]) -> None:
    vector = np.array([1.0, 0.0], np.float32)
    with store.group_commit(lambda: None, _MAX_WAITING_WRITES) as commit:
        bound = commit.submit(lambda tx: store.encoders.bind(tx, _OLD)).result()
        for start in range(0, len(texts), _WRITTEN_AT_ONCE):
            rows = [
                NewItem(ItemContent(f"i{start + at}", "", text, {}, 0.0), vector, False)
                for at, text in enumerate(texts[start : start + _WRITTEN_AT_ONCE])
            ]
            upsert = partial(store.items.upsert, new_items=rows, encoder_id=bound.id)
            commit.submit(upsert).result()


async def _own(
    store: RecordStore, coming: EncoderBinding, texts: int, victim: "Popen[bytes] | None"
) -> float:
    """Own the change until all is encoded; return the seconds from when somebody encodes."""

    def rebuild(*_: object) -> None:
        raise _Encoded

    begun: list[float] = []

    async def watch(progress: Progress) -> None:
        while True:
            done = progress.operation.done
            if done and not begun:
                # The first batches are a part of what is measured, but not the start of Python.
                begun.extend((time.monotonic(), done))
            if victim is not None and done >= texts / 2 and victim.poll() is None:
                victim.kill()
            await asyncio.sleep(_POLL_SECONDS)

    # Nobody listens there: the owner encodes nothing itself.
    encoder = Encoder(free_address())
    async with encoder:
        with store.group_commit(lambda: None, _MAX_WAITING_WRITES) as commit:
            holder = LeaseHolder(store, commit, encoder)
            view = cast(CatalogueReplica, _NoView())
            change = Reembedding(store, commit, encoder, holder, view, rebuild)
            kind = OperationKind.REBUILD_INDEX
            progress = Progress(
                await asyncio.wrap_future(
                    commit.submit(lambda tx: store.operations.create(tx, kind, {}))
                )
            )
            watching = asyncio.create_task(watch(progress))
            try:
                await change.run(coming, progress)
            except _Encoded:
                since, done = begun
                # Scaled to all texts: those of the first sign came before it.
                return (time.monotonic() - since) * texts / (texts - done)
            finally:
                watching.cancel()
    raise NotRun("the change ended before all was encoded")


def _next_id(store: RecordStore) -> int:
    coming: Any = store.encoders.next()
    return int(coming.id)


@SECTIONS.add(
    "1",
    "two processes with a core each against one",
    "texts/s, two against one >= 1.8 x",
)
def _faster(bench: Context) -> Iterator[Measured]:
    texts = bench.corpora.more_one_lines
    pairs = []
    with _workers(bench, (0, 1)) as workers:
        for turn in bench.turns("one and two encoders"):
            core = turn % len(workers)
            alone = _changed(bench, texts[:_ROUND_TEXTS], {core: workers[core]})
            both = _changed(bench, texts[: 2 * _ROUND_TEXTS], workers)
            pairs.append((2 * _ROUND_TEXTS / both.seconds, _ROUND_TEXTS / alone.seconds))
            bench.say(f"{pairs[-1][0]:.0f} texts/s by two, {pairs[-1][1]:.0f} by one")
    yield against(pairs, "texts/s")


@SECTIONS.add(
    "2",
    "one of two killed half-way",
    "texts asked for twice <= 1 leases",
    "items without a vector <= 0",
)
def _killed(bench: Context) -> Iterator[Measured]:
    texts = bench.corpora.more_one_lines[: bench.options.rows]
    with _workers(bench, (0, 1)) as workers:
        change = _changed(bench, texts, workers, killed=True)
    twice = change.asked - len(texts)
    note = f"{twice} texts of {len(texts):,}, of ranges of {LEASE_TEXTS:,}; {change.seconds:.0f} s"
    yield single(twice / LEASE_TEXTS, len(texts), note)
    yield single(float(change.missing), len(texts))
