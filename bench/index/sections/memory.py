"""What a process takes for each item that it holds, beside the raw vectors."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from longtail.server.catalogue.indexer import DELTA_SHARE
from longtail.server.store.records import ItemContent, NewItem

from bench.figures import Measured, NotRun, at_most, reported, single
from bench.generator import generator
from bench.index.context import IndexBench, noisy_copies
from bench.index.prepared import copied, opened
from bench.index.usage import Memory, forget_peak, memory
from bench.section import Section
from bench.texts import SEED

_PRIVATE, _RESIDENT = "private memory over the vectors", "with mapped files"
_LOADING, _MERGING, _MERGED = "peak while loading", "peak in a merge", "after a merge, private"
_LIMIT_SECONDS = 300.0


@dataclass(frozen=True)
class _Held:
    """A process before it held the catalogue, with it, and after a merge; with `items` then."""

    empty: Memory
    loaded: Memory
    before_merge: Memory
    merged: Memory
    items: int
    items_after: int


def _memory(bench: IndexBench) -> Mapping[str, Measured]:
    # In a process of its own, where nothing else takes or gives back memory.
    with copied(bench.home, "home-memory") as home, generator() as alone:
        held = alone.run(hold, home, bench.binding.dimension)
    vector = bench.binding.dimension * np.dtype(np.float32).itemsize
    raw, raw_after = held.items * vector, held.items_after * vector

    def over(size: int, against: int, what: str) -> Measured:
        note = f"{size / 1e6:,.0f} MB {what}, {size / (against / vector):,.0f} bytes an item"
        return single(size / against, held.items, note)

    empty = held.empty
    blocks = (held.loaded.blocks - empty.blocks) / held.items
    return {
        _PRIVATE: over(
            held.loaded.private - empty.private,
            raw,
            f"private beyond {empty.private / 1e6:,.0f} MB without items; "
            f"{blocks:.1f} blocks of Python an item",
        ),
        _RESIDENT: over(held.loaded.resident - empty.resident, raw, "resident"),
        _LOADING: over(held.loaded.peak - empty.resident, raw, "at most"),
        _MERGING: over(held.merged.peak - empty.resident, raw_after, "at most"),
        _MERGED: over(held.merged.private - empty.private, raw_after, "private"),
    }


def hold(home: Path, dimension: int) -> _Held:
    """Load the state in `home` into this process, and let a merge come; return what it took."""
    forget_peak()
    empty = memory()
    with opened(home) as held:
        state = held.view.state
        items = held.view.live_count
        # Every page of the vectors, as after many searches.
        for start in range(0, items, 1000):
            state.index.vectors(np.arange(start, min(start + 1000, items)))
        loaded = memory()
        copies = noisy_copies(
            state.index.vectors(np.arange(1000)), int(DELTA_SHARE * items) + 1, SEED
        )
        if copies.shape[1] != dimension:
            raise NotRun(f"{home} is of {copies.shape[1]} dimensions")
        held.upsert(
            [
                NewItem(ItemContent(f"new-{number}", "", "new", {}, 0.0), vector, False)
                for number, vector in enumerate(copies)
            ]
        )
        del copies, state
        forget_peak()
        before = memory()
        indexer = held.indexer()
        thread = threading.Thread(target=indexer.run, args=(lambda: None,))
        thread.start()
        deadline = time.monotonic() + _LIMIT_SECONDS
        while held.view.delta_count and time.monotonic() < deadline:
            time.sleep(0.1)
        indexer.stop()
        thread.join()
        if held.view.delta_count:
            raise NotRun("the merge did not end")
        return _Held(empty, loaded, before, memory(), items, held.view.live_count)


SECTIONS = [
    Section(
        6,
        "memory",
        {
            _PRIVATE: at_most(1.6, "x"),
            _RESIDENT: reported("x"),
            _LOADING: reported("x"),
            _MERGING: reported("x"),
            _MERGED: reported("x"),
        },
        _memory,
    )
]
