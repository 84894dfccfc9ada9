"""Whether batches of ever new shapes make the encoder's memory grow."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
from longtail.worker.vectors import TokenIds

from bench.bare import Bare
from bench.figures import Measured, at_most
from bench.generator import generator
from bench.section import Bench, Section
from bench.texts import SEED

_GROWTH = "growth of the resident memory"
_MOST_TEXTS, _MOST_TOKENS, _LEAST_TOKENS = 8, 64, 4
_WARMUP, _CHUNK = 200, 2_000
# An id that every vocabulary has; what the texts say has no influence on their shapes.
_TOKEN = 100


def _memory(bench: Bench) -> Mapping[str, Measured]:
    folder, total = bench.artefact.resolve(), bench.memory_batches
    # In a process of its own, where nothing else takes or gives back memory.
    with generator() as alone:
        # The largest shape on every thread, then shapes as they come.
        before = alone.run(run_largest, folder, _WARMUP)
        samples = [before]
        for start in range(0, total, _CHUNK):
            count = min(_CHUNK, total - start)
            samples.append(alone.run(run_random, folder, count, SEED + start))
            bench.say(f"memory: {start + count:,} of {total:,} batches, {samples[-1]:.0f} MB")
    note = f"from {before:.0f} MB; batches of up to {_MOST_TEXTS} x {_MOST_TOKENS} tokens"
    growth = [sample - before for sample in samples]
    return {_GROWTH: Measured(growth[-1], total, min(growth), max(growth), note)}


def run_largest(folder: Path, count: int) -> float:
    """Encode `count` batches of the largest shape; return this process's memory in MB."""
    return _run(folder, [[[_TOKEN] * _MOST_TOKENS] * _MOST_TEXTS] * count)


def run_random(folder: Path, count: int, seed: int) -> float:
    """Encode `count` batches of random shapes; return this process's memory in MB."""
    draw = np.random.default_rng(seed)
    texts = draw.integers(1, _MOST_TEXTS, count, endpoint=True)
    lengths = draw.integers(_LEAST_TOKENS, _MOST_TOKENS, count, endpoint=True)
    shapes = zip(texts.tolist(), lengths.tolist(), strict=True)
    return _run(folder, [[[_TOKEN] * tokens] * rows for rows, tokens in shapes])


def _run(folder: Path, batches: Sequence[Sequence[TokenIds]]) -> float:
    bare, threads = _loaded(folder)
    for _ in threads.map(bare.encoder.encode, batches):
        pass
    return _resident_mb()


@cache
def _loaded(folder: Path) -> tuple[Bare, ThreadPoolExecutor]:
    return Bare(folder), ThreadPoolExecutor(len(os.sched_getaffinity(0)))


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


SECTIONS = [Section(13, "memory", {_GROWTH: at_most(50, "MB")}, _memory)]
