"""Searches while items are written, while the delta is merged, and while the index is rebuilt."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
from longtail.server.catalogue.indexer import DELTA_SHARE, Indexer
from longtail.server.store.records import ItemContent, NewItem

from bench.figures import Measured, at_most, percentile
from bench.index.attributes import DRAW, WORDS
from bench.index.context import IndexBench, noisy_copies
from bench.index.load import search_at, writing
from bench.index.prepared import Opened, copied, opened
from bench.section import Section
from bench.texts import SEED

_SEARCHES, _WRITES = 100.0, 200.0
# A merge takes long, and the figures come from hundreds of searches each.
_MOST_ROUNDS = 3
# Of the writes, the share that replaces an item that is there.
_REPLACING = 0.5
_LIMIT_SECONDS = 300.0
_FIGURES = ("while items are written", "while the delta is merged", "during a rebuild")
_PERCENTS = (99, 50)


def _name(percent: int, figure: str) -> str:
    return f"p{percent} {figure}"


def _beside_writes(bench: IndexBench) -> Mapping[str, Measured]:
    # Of each figure, the latencies of the quiet time around it and of the busy time, by round.
    samples: dict[str, list[tuple[list[float], list[float]]]] = {name: [] for name in _FIGURES}
    with (
        copied(bench.home, "home-writes") as home,
        opened(home) as held,
        _indexing(held) as indexer,
    ):
        items = _items(bench)
        search = _searching(bench, held)

        def quiet() -> list[float]:
            return search_at(_SEARCHES, search, lambda seconds: seconds > bench.seconds)

        quiet()
        written, merging, rebuilding = _FIGURES
        acknowledged: list[float] = []
        for _ in range(min(bench.rounds, _MOST_ROUNDS)):
            before = quiet()
            with writing(held, items, _WRITES) as writes:
                busy = search_at(_SEARCHES, search, lambda seconds: seconds > bench.seconds)
            samples[written].append((before, busy))
            acknowledged += writes.latencies
            bench.say(f"beside writes: p99 {_ms(busy, 99):.2f} ms, quiet {_ms(before, 99):.2f} ms")
            busy = _until_merged(held, items, search)
            samples[merging].append((before, busy))
            bench.say(f"beside a merge: p99 {_ms(busy, 99):.2f} ms, {len(busy):,} searches")
        before = quiet()
        busy = _while_rebuilt(held, indexer, search)
        samples[rebuilding].append((before + quiet(), busy))
    note = f"; writes acknowledged in {_ms(acknowledged, 50):.1f} ms at the median"
    return {
        _name(percent, name): _against_quiet(pairs, percent, note if name == written else "")
        for name, pairs in samples.items()
        for percent in _PERCENTS
    }


def _against_quiet(
    pairs: Sequence[tuple[list[float], list[float]]], percent: int, note: str
) -> Measured:
    ratios = [percentile(busy, percent) / percentile(quiet, percent) for quiet, busy in pairs]
    busy = [second for _, seconds in pairs for second in seconds]
    quiet = [second for seconds, _ in pairs for second in seconds]
    told = (
        f"{_ms(busy, percent):.2f} against {_ms(quiet, percent):.2f} ms, "
        f"longest {max(busy) * 1e3:.0f} against {max(quiet) * 1e3:.0f} ms, "
        f"{len(busy):,} searches at {_SEARCHES:g}/s{note}"
    )
    return Measured(float(np.median(ratios)), len(ratios), min(ratios), max(ratios), told)


def _searching(bench: IndexBench, held: Opened) -> Callable[[int], object]:
    def search(number: int) -> object:
        state = held.view.state
        query = bench.noisy[number % len(bench.noisy)]
        scope = state.scope(time.time_ns() // 1000, None)
        return state.index.search(query, held.settings.candidates, scope)

    return search


def _until_merged(
    held: Opened, items: Iterator[NewItem], search: Callable[[int], object]
) -> list[float]:
    """Fill the delta until a merge is due, and search beside writes until it is done."""
    due = max(held.settings.index_merge_rows, int(DELTA_SHARE * held.view.state.index.graph_rows))
    held.upsert([next(items) for _ in range(due + 1 - held.view.delta_count)])
    graph_rows = held.view.state.index.graph_rows
    with writing(held, items, _WRITES):
        return search_at(
            _SEARCHES,
            search,
            lambda seconds: (
                held.view.state.index.graph_rows != graph_rows or seconds > _LIMIT_SECONDS
            ),
        )


def _while_rebuilt(held: Opened, indexer: Indexer, search: Callable[[int], object]) -> list[float]:
    state = held.view.state
    thread = threading.Thread(
        target=indexer.rebuild,
        args=(state.encoder, lambda _done, _total: None),
        name="rebuild",
    )
    thread.start()
    latencies = search_at(_SEARCHES, search, lambda _: not thread.is_alive())
    thread.join()
    if held.view.state is state:
        raise RuntimeError("the rebuilt index was not taken over")
    return latencies


@contextmanager
def _indexing(held: Opened) -> Iterator[Indexer]:
    """Merge in the background, as the server does, while the block lasts."""
    indexer = held.indexer()
    thread = threading.Thread(target=indexer.run, args=(lambda: None,), name="indexer")
    thread.start()
    try:
        yield indexer
    finally:
        indexer.stop()
        thread.join()


def _items(bench: IndexBench) -> Iterator[NewItem]:
    """Yield items without end, some of them in place of items that are there."""
    random = np.random.default_rng(SEED + 3)
    attributes = {DRAW: 0.5, WORDS: list(bench.attributes.words.values())}
    number = 0
    while True:
        vectors = noisy_copies(bench.vectors, 1000, SEED + 4 + number)
        for vector in vectors:
            row = int(random.integers(len(bench.catalogue.ids)))
            there = random.random() < _REPLACING
            item_id = bench.catalogue.ids[row] if there else f"new-{number}"
            number += 1
            content = ItemContent(item_id, "", bench.catalogue.texts[row], attributes, 1.0)
            yield NewItem(content, vector, vector_given=False)


def _ms(seconds: Sequence[float], percent: int) -> float:
    return percentile(seconds, percent) * 1e3


SECTIONS = [
    Section(
        3,
        "search beside writes",
        {_name(percent, figure): at_most(3, "x") for figure in _FIGURES for percent in _PERCENTS},
        _beside_writes,
    )
]
