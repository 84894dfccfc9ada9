"""Recall, search, start, memory, import and growth of the index, each beside its baseline."""

import itertools
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import grpc
import numpy as np
from longtail.server.catalogue.columns.filter import Filter
from longtail.server.catalogue.columns.mask_cache import MaskCache
from longtail.server.catalogue.index.graph import Rows
from longtail.server.catalogue.index.hnsw import GRAPH_FILE
from longtail.server.catalogue.indexer import DELTA_SHARE
from longtail.server.catalogue.scope import Scope
from longtail.server.catalogue.state import CatalogueState
from longtail.server.store.records import NewItem
from longtail.v1 import admin_service_pb2 as admin
from longtail.v1 import embedding_service_pb2 as pb
from longtail.v1.admin_service_pb2_grpc import AdminServiceStub
from longtail.v1.recommendation_service_pb2 import RecommendRequest
from longtail.v1.recommendation_service_pb2_grpc import RecommendationServiceStub

from bench.context import CALLERS, TEXTS_PER_CALL, Matrix
from bench.figures import LoadError, Measured, NotRun, Sections, against, median, percentile, single
from bench.index.catalogue import SHARES
from bench.index.context import NAMED, QUERIES, SMALL_ROWS, Context
from bench.index.exact import Floats, nearest_cosines, noisy_copies, recall
from bench.index.memory import hold
from bench.index.turns import (
    LIMIT_SECONDS,
    SEARCHES,
    Search,
    in_thread,
    searching,
    take_turns,
    writing,
)
from bench.load import generator
from bench.processes import Service, our_environment, server, worker
from bench.state import Opened, bare_search, copied, opened
from bench.texts import SEED, queries, write_part

SECTIONS: Sections[Context] = Sections()
_COUNTS = (10, 100, 200)
# Of the writes, the share that replaces an item that is there.
_REPLACING = 0.5
_FILTER_KINDS = ("at random", "by a word")
_FILTER_FIGURES = (
    ("recall@10", " >= 0.99"),
    ("p50", ", known filter <= 3 x"),
    ("p50", ", new filter <= 3 x"),
)


@SECTIONS.add(
    "1",
    "recall",
    *(
        f"recall@{k}, {kind} >= {0.99 if k == 10 else 0.97}"
        for kind in ("noisy items", "typed words")
        for k in _COUNTS
    ),
)
def _recall(bench: Context) -> Iterator[Measured]:
    for asked in (bench.noisy, bench.typed):
        exact = nearest_cosines(bench.vectors, asked, max(_COUNTS))
        for k in _COUNTS:
            shares = _found(bench, asked, k, None, exact[:, :k])
            yield Measured(float(shares.mean()), len(shares), float(shares.min()), 1.0)


@SECTIONS.add(
    "2", "search against bare hnswlib", *(f"search p50, k {k} <= 1.25 x" for k in _COUNTS)
)
def _speed(bench: Context) -> Iterator[Measured]:
    sides = [_search(bench, bench.whole), _bare(bench, bench.home)]
    for rounds in _medians(bench, sides):
        yield against(rounds.tolist(), "ms")


_WRITE_FIGURES = ("while items are written", "while the delta is merged", "during a rebuild")


@SECTIONS.add(
    "3",
    "search beside writes",
    *(f"p{percent} {what} <= 3 x" for what in _WRITE_FIGURES for percent in (99, 50)),
)
def _beside_writes(bench: Context) -> Iterator[Measured]:
    # Of each figure, the seconds of the busy time and of the quiet time around it, by round.
    samples: dict[str, list[tuple[list[float], list[float]]]] = {
        name: [] for name in _WRITE_FIGURES
    }
    written, merging, rebuilding = _WRITE_FIGURES
    acknowledged: list[float] = []
    with copied(bench.home, "home-writes") as home, opened(home) as held:
        items, search, indexer = _new_items(bench), _usual(bench, held), held.indexer()
        quiet = partial(searching, search, seconds=bench.seconds)
        quiet()
        with in_thread(partial(indexer.run, lambda: None), indexer.stop):
            for _ in bench.turns("beside writes and merges", most=3):
                before = quiet()
                with writing(held, items) as writes:
                    samples[written].append((quiet(), before))
                acknowledged += writes
                rows = held.view.state.index.graph_rows
                due = max(held.settings.index_merge_rows, int(DELTA_SHARE * rows))
                held.upsert([next(items) for _ in range(due + 1 - held.view.delta_count)])
                with writing(held, items):
                    busy = searching(search, _merging(held))
                samples[merging].append((busy, before))
            before = quiet()
            rebuild = threading.Thread(
                target=indexer.rebuild, args=(held.view.state.encoder, lambda _done, _total: None)
            )
            rebuild.start()
            busy = searching(search, lambda: not rebuild.is_alive())
            samples[rebuilding].append((busy, before + quiet()))
    for name, pairs in samples.items():
        for percent in (99, 50):
            taken = [[1e3 * percentile(each, percent) for each in pair] for pair in pairs]
            every = [second for busy, _ in pairs for second in busy]
            longest, count = 1e3 * max(every), len(every)
            note = f", longest {longest:.0f} ms, {count:,} searches at {SEARCHES:g}/s"
            if name == written:
                note += f"; writes acknowledged in {1e3 * percentile(acknowledged, 50):.1f} ms"
            yield against(taken, "ms", note)


@SECTIONS.add(
    "4",
    "filters",
    *(
        f"{name}, {share:.1%} {kind}{bar}"
        for share in SHARES
        for kind in _FILTER_KINDS
        for name, bar in _FILTER_FIGURES
    ),
)
def _filters(bench: Context) -> Iterator[Measured]:
    for share, kind in itertools.product(SHARES, range(len(_FILTER_KINDS))):
        wanted, allowed = bench.attributes.filters(share)[kind]
        bench.say(f"filter: {share:.1%} {_FILTER_KINDS[kind]}")
        shares = [
            _found(bench, asked, 10, wanted, nearest_cosines(bench.vectors, asked, 10, allowed))
            for asked in (bench.noisy, bench.typed)
        ]
        noisy, typed = (float(part.mean()) for part in shares)
        every = np.concatenate(shares)
        what = f"the word {bench.attributes.words[share]!r}" if kind else "a number"
        note = f"{what} {allowed.mean():.2%}; noisy items {noisy:.4f}, typed words {typed:.4f}"
        yield Measured(float(every.mean()), len(every), float(every.min()), 1.0, note)
        calls = [
            partial(_scoped, bench, scope_of, sought)
            for scope_of, sought in ((_scope, None), (_scope, wanted), (_scope_of_new, wanted))
        ]
        rounds = []
        for number in range(bench.options.rounds):
            seconds = take_turns(calls, bench.of_round(number, 60))
            rounds.append([1e3 * float(np.median(each)) for each in seconds])
        for at in (1, 2):
            yield against([(each[at], each[0]) for each in rounds], "ms")


@SECTIONS.add(
    "5",
    "start",
    "start to SERVING <= 10 s",
    "start to SERVING, files not in memory <= 10 s",
    "start to SERVING without the graph <= 10 s",
    "answer without the graph [ms]",
    "until the graph is back [s]",
)
def _start(bench: Context) -> Iterator[Measured]:
    warm, cold = [], []
    (query,) = queries(bench.catalogue, 1)
    with copied(bench.home, "home-start") as home, worker(bench.options.artefact, bench.out) as own:
        serving = partial(server, home, own.address, bench.out)
        for _ in bench.turns("start", most=3):
            with serving() as running:
                warm.append(running.start_seconds)
                right = _recommended(running, query)
            _drop_from_memory(home)
            with serving() as running:
                cold.append(running.start_seconds)
        for file in home.rglob(GRAPH_FILE):
            file.unlink()
        with serving() as running:
            started = time.perf_counter()
            found = _recommended(running, query)
            answered = time.perf_counter() - started
            # The graph may miss what a scan finds, but hardly the first of them.
            if found[:3] != right[:3]:
                raise NotRun(f"another answer without the graph: {found} instead of {right}")
            while _index(running).delta_count:
                if time.perf_counter() - started > LIMIT_SECONDS:
                    raise NotRun("the graph did not come back")
                # Seldom, so that asking takes nothing from the rebuild.
                time.sleep(0.5)
            back = running.start_seconds + time.perf_counter() - started
    yield median(warm)
    yield median(cold)
    yield single(running.start_seconds, 1)
    yield single(1e3 * answered, 1, "the first")
    yield single(back, 1)


@SECTIONS.add(
    "6",
    "memory over that of the vectors",
    "private memory over the vectors <= 1.6 x",
    "with mapped files [x]",
    "peak while loading [x]",
    "peak in a merge [x]",
    "after a merge, private [x]",
)
def _memory(bench: Context) -> Iterator[Measured]:
    # In a process of its own, where nothing else takes or gives back memory.
    with copied(bench.home, "home-memory") as home, generator() as alone:
        items, items_after, empty, loaded, merged = alone.run(hold, home)
    raw, raw_after = (4 * bench.vectors.shape[1] * count for count in (items, items_after))
    for size, vectors in (
        (loaded["private"] - empty["private"], raw),
        (loaded["resident"] - empty["resident"], raw),
        (loaded["peak"] - empty["resident"], raw),
        (merged["peak"] - empty["resident"], raw_after),
        (merged["private"] - empty["private"], raw_after),
    ):
        yield single(size / vectors, items, f"{size / 1e6:,.0f} MB beyond a process without items")


@SECTIONS.add("7", "import", "import rate >= 70 %", "with the last merge [%]")
def _import(bench: Context) -> Iterator[Measured]:
    rounds = bench.turns("import, in turn with the worker alone", most=3)
    rows = (5_000 if bench.options.quick else bench.options.rows) // len(rounds)
    texts = bench.catalogue.to_encode[: rows * len(rounds)]
    rates = []
    with (
        tempfile.TemporaryDirectory(dir=bench.out) as folder,
        worker(bench.options.artefact, bench.out, LONGTAIL_WORKER_CACHE_MB="0") as own,
        server(Path(folder), own.address, bench.out) as running,
    ):

        def embed(part: Sequence[str]) -> float:
            return bench.embed(own, part, TEXTS_PER_CALL, CALLERS, pb.LANE_BULK).seconds

        embed(texts[:TEXTS_PER_CALL])
        for number in rounds:
            start, half = number * rows, number * rows + rows // 2
            part = Path(folder) / "part.csv"
            write_part(bench.options.data, start, rows, part)
            before = embed(texts[start:half])
            seconds = _run_import(part, running.address)
            found = _index(running).live_count
            if found != start + rows:
                raise LoadError(f"{found:,} of {start + rows:,} items can be found")
            settled = _settled(running)
            alone = rows / (before + embed(texts[half : start + rows]))
            rates.append((rows / seconds, rows / (seconds + settled), alone))
    note = f"; {len(rounds)} times {rows:,} rows into one store"
    for at in (0, 1):
        yield against([(each[at], each[2]) for each in rates], "rows/s", note, scale=100)


@SECTIONS.add(
    "8",
    "growth with the catalogue",
    *(f"growth of p50 from {SMALL_ROWS:,}, k {k} <= 1.1 x" for k in _COUNTS),
)
def _growth(bench: Context) -> Iterator[Measured]:
    sides = [
        *(_search(bench, bench.whole), _search(bench, bench.small)),
        *(_bare(bench, bench.home), _bare(bench, bench.small_home)),
    ]
    for rounds in _medians(bench, sides):
        ours, ours_small, theirs, theirs_small = rounds.T
        growth = np.column_stack((ours / ours_small, theirs / theirs_small)).tolist()
        note = f", ours from {np.median(ours_small):.3f} to {np.median(ours):.3f} ms"
        yield against(growth, "times", note)


@SECTIONS.add(
    "9",
    "a vector of the caller's for each item",
    "recall@10, a named vector >= 0.99",
    *(f"search p50, a named vector, k {k} <= 1.25 x" for k in _COUNTS),
)
def _named(bench: Context) -> Iterator[Measured]:
    """Take the texts' vectors for the caller's: what differs is the index they are in."""
    with opened(bench.named_home) as held:
        space = held.view.state.spaces[NAMED]

        def search(k: int, query: int) -> tuple[Rows, Floats]:
            return space.search(bench.noisy[query], k, _scope(held.view.state, None))

        found = [space.vectors(search(10, query)[0]) for query in range(QUERIES)]
        shares = recall(nearest_cosines(bench.vectors, bench.noisy, 10), found, bench.noisy)
        yield Measured(float(shares.mean()), len(shares), float(shares.min()), 1.0)
        [folder] = held.settings.index_folder.glob("space-*")
        for rounds in _medians(bench, [search, _bare(bench, folder)]):
            yield against(rounds.tolist(), "ms")


@SECTIONS.add(
    "10",
    "a query's words beside its meaning",
    "p50 of Recommend, words and meaning over meaning <= 1.3 x",
)
def _words(bench: Context) -> Iterator[Measured]:
    asked = queries(bench.catalogue, QUERIES)
    with (
        worker(bench.options.artefact, bench.out) as own,
        server(bench.home, own.address, bench.out) as running,
        grpc.insecure_channel(running.address) as channel,
    ):
        recommend = RecommendationServiceStub(channel).Recommend

        def answer(ignore_words: bool, query: int) -> object:
            request = RecommendRequest(query=asked[query], ignore_words=ignore_words)
            return recommend(request, timeout=_CALL_SECONDS)

        for query in range(QUERIES):
            # So that what is measured is not the encoder.
            answer(False, query)
        calls = [partial(answer, ignored) for ignored in (False, True)]
        turns = [
            take_turns(calls, bench.of_round(number, 150)) for number in bench.turns("queries")
        ]
    yield against((1e3 * np.median(np.array(turns), axis=2)).tolist(), "ms")


def _found(bench: Context, asked: Matrix, k: int, wanted: Filter | None, exact: Floats) -> Floats:
    state = bench.whole.view.state
    found = []
    for query in asked:
        rows, _ = state.index.search(query, k, _scope(state, wanted))
        found.append(state.index.vectors(rows))
    return recall(exact, found, asked)


def _medians(bench: Context, sides: Sequence[Callable[[int, int], object]]) -> Iterator[Floats]:
    """Yield for each count the median milliseconds (rounds, sides)."""
    rounds = bench.turns("search")
    for k in _COUNTS:
        calls = [partial(side, k) for side in sides]
        turns = [take_turns(calls, bench.of_round(number, 150)) for number in rounds]
        yield 1e3 * np.median(np.array(turns), axis=2)


def _search(bench: Context, held: Opened) -> Callable[[int, int], object]:
    def search(k: int, query: int) -> object:
        state = held.view.state
        return state.index.search(bench.noisy[query % QUERIES], k, _scope(state, None))

    return search


def _usual(bench: Context, held: Opened) -> Search:
    return partial(_search(bench, held), held.settings.candidates)


def _merging(held: Opened) -> Callable[[], bool]:
    """Return what says whether the delta is merged since now."""
    rows = held.view.state.index.graph_rows
    return lambda: held.view.state.index.graph_rows != rows


def _bare(bench: Context, home: Path) -> Callable[[int, int], object]:
    search = bare_search(home, bench.vectors.shape[1])
    return lambda k, query: search(bench.noisy[query], k)


def _scoped(
    bench: Context,
    scope_of: Callable[[CatalogueState, Filter | None], Scope],
    wanted: Filter | None,
    query: int,
) -> object:
    state = bench.whole.view.state
    return state.index.search(bench.noisy[query], 10, scope_of(state, wanted))


def _scope(state: CatalogueState, wanted: Filter | None) -> Scope:
    return state.scope(time.time_ns() // 1000, wanted)


def _scope_of_new(state: CatalogueState, wanted: Filter | None) -> Scope:
    """Return the scope of a request whose filter was never asked for."""
    known = _scope(state, wanted)
    masks = MaskCache(state.columns.attributes)
    return Scope(known.columns, masks, known.revision, known.rows, known.now, wanted)


def _new_items(bench: Context) -> Iterator[NewItem]:
    """Yield items without end, some of them in place of items that are there."""
    draw = np.random.default_rng(SEED + 3)
    for number in itertools.count():
        if number % 1000 == 0:
            vectors = noisy_copies(bench.vectors, 1000, SEED + 4 + number)
        row = int(draw.integers(len(bench.catalogue.ids)))
        (content,) = bench.attributes.contents([row])
        if draw.random() >= _REPLACING:
            content = replace(content, id=f"new-{number}")
        yield NewItem(content, vectors[number % 1000], vector_given=False)


def _recommended(running: Service, query: str) -> list[str]:
    """Return the ids of what is recommended for a query, by relevance alone."""
    request = RecommendRequest(query=query)
    request.long_tail.strength = 0
    with grpc.insecure_channel(running.address) as channel:
        answer = RecommendationServiceStub(channel).Recommend(request, timeout=_CALL_SECONDS)
        return [result.item_id for result in answer.results]


def _index(running: Service) -> admin.IndexInfo:
    with grpc.insecure_channel(running.address) as channel:
        request = admin.GetServerInfoRequest()
        answer = AdminServiceStub(channel).GetServerInfo(request, timeout=_CALL_SECONDS)
        index: admin.IndexInfo = answer.index
        return index


def _run_import(part: Path, address: str) -> float:
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
    # After so long without a merge none is due.
    while (now := time.perf_counter()) - built < 2.0:
        if now - start > LIMIT_SECONDS:
            raise NotRun("merges do not come to an end")
        if any(running.counters("longtail_index_build_rows")):
            built = now
        time.sleep(0.1)
    return built - start


def _drop_from_memory(home: Path) -> None:
    """Have the kernel forget what it caches of the files under `home`."""
    for path in home.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


_CALL_SECONDS = 30.0
