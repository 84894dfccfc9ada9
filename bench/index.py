"""The store and the index against their baselines: exact search, bare hnswlib, the worker alone."""

import asyncio
import gc
import itertools
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path

import grpc
import numpy as np
from longtail.server.catalogue.columns.filter import Condition, Equals, Filter, Kind, Range
from longtail.server.catalogue.columns.mask_cache import MaskCache
from longtail.server.catalogue.index.hnsw import GRAPH_FILE
from longtail.server.catalogue.indexer import DELTA_SHARE
from longtail.server.catalogue.scope import Scope
from longtail.server.catalogue.state import CatalogueState
from longtail.server.store.records import EncoderBinding, ItemContent, NewItem
from longtail.v1 import admin_service_pb2 as admin
from longtail.v1 import embedding_service_pb2 as pb
from longtail.v1.admin_service_pb2_grpc import AdminServiceStub
from longtail.v1.recommendation_service_pb2 import RecommendRequest
from longtail.v1.recommendation_service_pb2_grpc import RecommendationServiceStub
from numpy.typing import NDArray

from bench import context
from bench.context import CALLERS, TEXTS_PER_CALL, Matrix
from bench.figures import LoadError, Measured, NotRun, Sections, against, median, percentile, single
from bench.load import generator
from bench.processes import Service, our_environment, server, worker
from bench.state import Opened, bare_search, copied, opened, prepare
from bench.texts import SEED, Catalogue, queries, write_part
from loadtest.open_loop import Call, Offered, Schedule, offer

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
Search = Callable[[int], object]

SECTIONS: Sections["Context"] = Sections()

SMALL_ROWS = 10_000
_QUERIES = 500
# Of a copy of an item as a query: the length of the noise, where the item's is 1.
NOISE = 0.5
# What the filters match, as shares of the catalogue; a word may be so much rarer or more frequent.
SHARES, _TOLERANCE = (0.5, 0.1, 0.01, 0.001), 1.25
_DRAW, _WORDS = "draw", "words"
_WORD = re.compile(r"[a-z]{2,}")
# Two sums of the same products in different orders differ by less.
_ROUNDING = 1e-6
_QUERIES_AT_ONCE = 64
_COUNTS = (10, 100, 200)
_SEARCHES, _WRITES = 100.0, 200.0
# Of the writes, the share that replaces an item that is there.
_REPLACING = 0.5
_LIMIT_SECONDS, _CALL_SECONDS = 400.0, 30.0
_FILTER_KINDS = ("at random", "by a word")
_FILTER_FIGURES = (
    ("recall@10", " >= 0.99"),
    ("p50", ", known filter <= 3 x"),
    ("p50", ", new filter <= 3 x"),
)


class Attributes:
    """A random number below 1 of each item (n,), and which of them have which of some words.

    Of the words that are as frequent as a share, that one stands for it whose items are most alike:
    what it matches lies together, and most queries come from elsewhere.
    """

    def __init__(self, known: Catalogue, vectors: Matrix) -> None:
        """Choose for items with unit `vectors` (n, d); raise NotRun when no word is as frequent."""
        self._known = known
        self.draws = np.random.default_rng(SEED + 2).random(len(known.ids))
        rows_of: dict[str, list[int]] = {}
        for row, text in enumerate(known.texts):
            for word in set(_WORD.findall(text.lower())):
                rows_of.setdefault(word, []).append(row)
        self.words: dict[float, str] = {}
        self.having: dict[str, Mask] = {}
        for share in SHARES:
            wanted = share * len(known.ids)
            near = [
                word
                for word, rows in rows_of.items()
                if wanted / _TOLERANCE <= len(rows) <= wanted * _TOLERANCE
            ]
            if not near:
                raise NotRun(f"no word stands in about {share:.1%} of the texts")
            alike = {word: np.linalg.norm(vectors[rows_of[word]].mean(axis=0)) for word in near}
            word = self.words[share] = max(near, key=lambda word: float(alike[word]))
            self.having[word] = np.zeros(len(known.ids), np.bool_)
            self.having[word][rows_of[word]] = True

    def contents(self, rows: Sequence[int]) -> list[ItemContent]:
        """Return the items at `rows` with their attributes, as the store keeps them."""
        known = self._known
        return [
            ItemContent(
                id=known.ids[row],
                title="",
                text=known.texts[row],
                attributes={
                    _DRAW: float(self.draws[row]),
                    _WORDS: [word for word, has in self.having.items() if has[row]],
                },
                prior=known.priors[row],
            )
            for row in rows
        ]

    def filters(self, share: float) -> tuple[tuple[Filter, Mask], tuple[Filter, Mask]]:
        """Return what matches about a share of the items, and which (n,): at random, by a word."""
        word = self.words[share]
        draw = Condition(_DRAW, Range(Kind.NUMBER, less_than=share))
        has = Condition(_WORDS, Equals(Kind.TEXT, word))
        return (
            (Filter(all_of=(draw,)), self.draws < share),
            (Filter(all_of=(has,)), self.having[word]),
        )


class Context(context.Context):
    """What the sections of the index share."""

    @cached_property
    def vectors(self) -> Matrix:
        """The vectors (n, d) of all items."""
        return self.vectors_of("items", self.catalogue.to_encode, pb.ROLE_ITEM)

    @cached_property
    def attributes(self) -> Attributes:
        """What all items are filtered by."""
        return Attributes(self.catalogue, self.vectors)

    @cached_property
    def home(self) -> Path:
        """The state with all items; not to be written to."""
        return self._home(np.arange(len(self.catalogue.ids)))

    @cached_property
    def small_home(self) -> Path:
        """The state with SMALL_ROWS of the items; not to be written to."""
        order = np.random.default_rng(SEED).permutation(len(self.catalogue.ids))
        return self._home(np.sort(order[:SMALL_ROWS]))

    @cached_property
    def whole(self) -> Opened:
        """The state with all items, opened."""
        return self.leaving.enter_context(opened(self.home))

    @cached_property
    def small(self) -> Opened:
        """The state with SMALL_ROWS of the items, opened."""
        return self.leaving.enter_context(opened(self.small_home))

    @cached_property
    def noisy(self) -> Matrix:
        """Queries (q, d): copies of random items, with noise."""
        return noisy_copies(self.vectors, _QUERIES, SEED)

    @cached_property
    def typed(self) -> Matrix:
        """Queries (q, d): a few words, embedded as queries are."""
        return self.vectors_of("queries", queries(self.catalogue, _QUERIES), pb.ROLE_QUERY)

    def of_round(self, number: int, count: int) -> Sequence[int]:
        """Return the numbers of the `count` queries of a round."""
        return [(number * count + position) % _QUERIES for position in range(count)]

    def _home(self, rows: NDArray[np.int64]) -> Path:
        manifest = self.bare.manifest
        binding = EncoderBinding(manifest.model_id, manifest.dimension)
        contents = self.attributes.contents(rows.tolist())
        return prepare(binding, contents, self.vectors[rows], self.out, self.say)


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
        with _thread(partial(indexer.run, lambda: None), indexer.stop):
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
            note = f", longest {longest:.0f} ms, {count:,} searches at {_SEARCHES:g}/s"
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
                if time.perf_counter() - started > _LIMIT_SECONDS:
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


def noisy_copies(vectors: Matrix, count: int, seed: int) -> Matrix:
    """Return unit vectors (count, d), each of them near to a random one of `vectors` (n, d)."""
    draw = np.random.default_rng(seed)
    picked = vectors[draw.integers(len(vectors), size=count)]
    noise = draw.normal(size=picked.shape)
    copies = picked + noise * (NOISE / np.linalg.norm(noise, axis=1, keepdims=True))
    found: Matrix = (copies / np.linalg.norm(copies, axis=1, keepdims=True)).astype(np.float32)
    return found


def nearest_cosines(vectors: Matrix, asked: Matrix, k: int, allowed: Mask | None = None) -> Floats:
    """Return the cosines (q, k) of the `k` nearest of unit `vectors` to each of `asked` (q, d).

    Exactly, without any code of the index; the nearest first. `allowed` says which vectors count.
    Where there are fewer than k there are fewer columns.
    """
    among = vectors if allowed is None else vectors[allowed]
    k = min(k, len(among))
    found = []
    for start in range(0, len(asked), _QUERIES_AT_ONCE):
        cosines = asked[start : start + _QUERIES_AT_ONCE] @ among.T
        largest = np.partition(cosines, len(among) - k, axis=1)[:, len(among) - k :]
        found.append(np.sort(largest, axis=1)[:, ::-1])
    return np.concatenate(found).astype(np.float64)


def recall(exact: Floats, found: Sequence[Matrix], asked: Matrix) -> Floats:
    """Return for each query (q, d) the share of its k nearest that was found, (q,).

    `exact` (q, k) are their cosines, `found` the vectors (m, d) of what was returned. Whatever is
    as near as the k-th nearest is right: items with equal vectors can stand for each other.
    """
    shares = []
    for cosines, vectors, query in zip(exact, found, asked, strict=True):
        near = vectors[: len(cosines)] @ query >= cosines[-1] - _ROUNDING
        shares.append(float(near.sum()) / len(cosines))
    return np.array(shares)


def take_turns(calls: Sequence[Search], asked: Sequence[int]) -> list[list[float]]:
    """Give each call each of the numbers `asked`, one at a time; return the seconds of each.

    The first goes round. At the same moment each call is at another query, so that none finds in
    the processor's caches what the one before it has left there.
    """
    stride = max(1, len(asked) // len(calls))
    seconds: list[list[float]] = [[] for _ in calls]
    for turn in range(len(asked)):
        for place in range(len(calls)):
            which = (turn + place) % len(calls)
            query = asked[(turn + which * stride) % len(asked)]
            start = time.perf_counter()
            calls[which](query)
            seconds[which].append(time.perf_counter() - start)
    return seconds


def searching(
    search: Search, is_over: Callable[[], bool] = lambda: False, seconds: float = _LIMIT_SECONDS
) -> list[float]:
    """Search at a steady rate until it is over; return the seconds of each search."""
    taken: list[float] = []

    async def one(number: int, _: float) -> object:
        return search(number)

    numbers = itertools.takewhile(lambda _: not is_over(), itertools.count())
    calls: Iterator[Call[object]] = (partial(one, number) for number in numbers)

    def note(offered: Offered[object]) -> None:
        taken.append(offered.ended - offered.sent)

    asyncio.run(offer(Schedule(_SEARCHES, seconds), calls, note))
    return taken


@contextmanager
def writing(held: Opened, items: Iterator[NewItem]) -> Iterator[list[float]]:
    """Write items at a steady rate while the block lasts, one to a call, through the write path.

    Yields the seconds from when each was due until it was acknowledged. A write that fails is
    raised at the end.
    """
    stop = threading.Event()
    taken: list[float] = []
    failed: list[BaseException] = []

    async def write(_: float) -> None:
        await asyncio.wrap_future(held.submit([next(items)]))

    def load() -> None:
        calls = itertools.takewhile(lambda _: not stop.is_set(), itertools.repeat(write))
        schedule = Schedule(_WRITES, _LIMIT_SECONDS)
        try:
            asyncio.run(offer(schedule, calls, lambda offered: taken.append(offered.latency)))
        except BaseExceptionGroup as error:
            failed.extend(error.exceptions)

    with _thread(load, stop.set):
        yield taken
    if failed:
        raise failed[0]


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
        deadline = time.monotonic() + _LIMIT_SECONDS
        with _thread(partial(indexer.run, lambda: None), indexer.stop):
            while held.view.delta_count:
                if time.monotonic() > deadline:
                    raise NotRun("the merge did not end")
                # The indexer tells nobody when nothing is left to merge.
                time.sleep(0.1)
        return items, held.view.live_count, empty, loaded, _taken()


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
        return state.index.search(bench.noisy[query % _QUERIES], k, _scope(state, None))

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


@contextmanager
def _thread(run: Callable[[], object], stop: Callable[[], object]) -> Iterator[None]:
    """Run something while the block lasts."""
    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop()
        thread.join()


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
        if now - start > _LIMIT_SECONDS:
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
