"""What a process takes that holds a catalogue, before and after a merge."""

import gc
import itertools
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
from longtail.server.catalogue.indexer import DELTA_SHARE
from longtail.server.store.records import ItemContent, NewItem

from bench.figures import NotRun
from bench.index.exact import noisy_copies
from bench.index.turns import LIMIT_SECONDS, in_thread
from bench.state import opened
from bench.texts import SEED


def hold(home: Path) -> tuple[int, int, dict[str, int], dict[str, int], dict[str, int]]:
    """Load the state in `home` into this process, and let a merge come.

    Returns the items before and after, and the bytes taken without items, with them, and merged.
    """
    _forget_peak()
    empty = _taken()
    with opened(home) as held:
        index, items = held.view.state.index, held.view.live_count
        # Every page of the vectors, as after many searches.
        for start in range(0, items, 1000):
            index.vectors(np.arange(start, min(start + 1000, items)))
        loaded = _taken()
        some = index.vectors(np.arange(min(items, 1000)))
        copies = noisy_copies(some, int(DELTA_SHARE * items) + 1, SEED)
        new = (ItemContent(f"new-{number}", "", "new", {}, 0.0) for number in itertools.count())
        held.upsert([NewItem(*pair, False) for pair in zip(new, copies, strict=False)])
        del copies, index, some
        _forget_peak()
        indexer = held.indexer()
        deadline = time.monotonic() + LIMIT_SECONDS
        with in_thread(partial(indexer.run, lambda: None), indexer.stop):
            while held.view.delta_count:
                if time.monotonic() > deadline:
                    raise NotRun("the merge did not end")
                # The indexer tells nobody when nothing is left to merge.
                time.sleep(0.1)
        return items, held.view.live_count, empty, loaded, _taken()


def _taken() -> dict[str, int]:
    """Return the bytes that this process takes: private, resident, and the most so far."""
    gc.collect()
    rollup = _fields(Path("/proc/self/smaps_rollup"))
    peak = _fields(Path("/proc/self/status"))["VmHWM"]
    return {"private": rollup["Anonymous"], "resident": rollup["Rss"], "peak": peak}


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _fields(path: Path) -> Mapping[str, int]:
    pairs = (line.partition(":") for line in path.read_text().splitlines())
    return {
        name: int(value.removesuffix(" kB")) * 1024
        for name, _, value in pairs
        if value.endswith(" kB")
    }
