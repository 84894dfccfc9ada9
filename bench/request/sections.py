"""The figures of a request, each beside the parts that it is held against."""

import json
import statistics
import time
from collections.abc import Mapping, Sequence
from itertools import cycle, islice
from pathlib import Path

import numpy as np
from longtail.worker.tokenizer import Role

from bench.closed_loop import grpc_calls, grpc_calls_for
from bench.figures import Measured, NotRun, at_least, at_most, single
from bench.generator import checked
from bench.index import catalogue as catalogues
from bench.index.prepared import copied
from bench.processes import ROOT
from bench.request.context import (
    DEMO_PEOPLE,
    QUERIES,
    RECOMMEND,
    RequestBench,
    of_people,
    of_texts,
)
from bench.request.heavy import HEAVY
from bench.request.homes import PEOPLE, home_of, write_likes
from bench.request.loads import offer, probe
from bench.request.parts import embedding
from bench.section import Section

_DEMO_PERSON, _DEMO_QUERY = "demo, a person", "demo, a query asked before"
_PERSON, _QUERY = "100,000 items, a person", "100,000 items, a query asked before"
_TEXTS, _RATE = "100,000 items, a text all new", "people answered a second"
_STATS, _JOINED = "median of Recommend", "Embed calls per text"
_FILES, _FUNCTIONS, _CALLS = "files of ours", "functions of ours", "Python calls"
_HISTORY = "100,000 interactions against 100"
STATS = "/longtail.v1.InsightService/GetCatalogStats"
_DEMO_USERS = [str(number) for number in range(1, DEMO_PEOPLE + 1)]
_LARGE_USERS = [f"p{number}" for number in range(PEOPLE)]
_WARMUP = 60
# Of the search for the rate, the factor from one to the next, and how many there are at most.
_STEP, _STEPS, _P99_MS = 1.2, 12, 50.0
# To make 300,000 interactions of the demo's.
_MORE_PEOPLE, _MORE_LIKES = 2000, 100
_BEGUN_SECONDS = 0.3
_CALLERS = 32
# Of a heavy call: what was written before may be skipped.
_VARIANTS = 3
_TRACED = 20


def _against(pairs: Sequence[tuple[float, float]], unit: str, note: str = "") -> Measured:
    """Compare what took turns: the median of the ratios, and both medians in the note."""
    ours, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratios = [our / their for our, their in pairs]
    told = f"{ours:.2f} against {theirs:.2f} {unit}{note}"
    return Measured(statistics.median(ratios), len(ratios), min(ratios), max(ratios), told)


def _demo(bench: RequestBench) -> Mapping[str, Measured]:
    people, queries = [], []
    asked = of_people(_DEMO_USERS, bench.calls), of_texts(QUERIES, bench.calls)
    with bench.serving(bench.demo_home) as running:
        for requests in asked:
            bench.cpu([running], RECOMMEND, requests[:_WARMUP])
        for _ in bench.turns("CPU on the demo catalogue"):
            empty = bench.cpu_empty()
            people.append((bench.cpu([running], RECOMMEND, asked[0]), empty))
            queries.append((bench.cpu([running], RECOMMEND, asked[1]), empty))
    unit = "ms of CPU, the latter an empty call's"
    return {_DEMO_PERSON: _against(people, unit), _DEMO_QUERY: _against(queries, unit)}


def _person(bench: RequestBench) -> Mapping[str, Measured]:
    numbers = range(min(PEOPLE, 2 * bench.calls))
    searching, ranking = _mean([bench.parts.of_person(number) for number in numbers])
    requests = of_people(_LARGE_USERS, bench.calls)
    return {_PERSON: _beside_parts(bench, requests, searching, ranking)}


def _query(bench: RequestBench) -> Mapping[str, Measured]:
    tokens = bench.bare.tokenizer.tokenise(QUERIES, Role.QUERY)
    vectors = [bench.bare.encoder.encode([each.ids])[0] for each in tokens]
    again = islice(cycle(vectors), bench.calls)
    searching, ranking = _mean([bench.parts.of_query(vector) for vector in again])
    requests = of_texts(QUERIES, bench.calls)
    return {_QUERY: _beside_parts(bench, requests, searching, ranking)}


def _beside_parts(
    bench: RequestBench, requests: Sequence[bytes], searching: float, ranking: float
) -> Measured:
    pairs = []
    with bench.serving(bench.large_home) as running:
        bench.cpu([running], RECOMMEND, requests[:_WARMUP])
        for _ in bench.turns("CPU on the large catalogue"):
            empty = bench.cpu_empty()
            whole = bench.cpu([running], RECOMMEND, requests)
            pairs.append((whole, searching + ranking + empty))
    note = f": searches {searching:.2f}, ranking {ranking:.2f}, an empty call {empty:.2f}"
    return _against(pairs, "ms of CPU", note)


def _texts(bench: RequestBench) -> Mapping[str, Measured]:
    texts = _distinct(bench, bench.rounds * bench.calls + _WARMUP)
    seconds = embedding(bench.bare)
    tokens = bench.bare.tokenizer.tokenise(texts[: bench.calls], Role.QUERY)
    vectors = [bench.bare.encoder.encode([each.ids])[0] for each in tokens]
    embedded = 1e3 * statistics.fmean(map(seconds, texts[: bench.calls]))
    searching, ranking = _mean([bench.parts.of_query(vector) for vector in vectors])
    pairs = []
    with bench.serving(bench.large_home) as running:
        both = [running, bench.worker]
        bench.cpu(both, RECOMMEND, of_texts(texts[-_WARMUP:], _WARMUP))
        for number in bench.turns("CPU of distinct texts"):
            mine = texts[number * bench.calls : (number + 1) * bench.calls]
            empty = bench.cpu_empty()
            whole = bench.cpu(both, RECOMMEND, of_texts(mine, len(mine)))
            pairs.append((whole, embedded + searching + ranking + 3 * empty))
    note = (
        f": embedding {embedded:.2f}, search {searching:.2f}, ranking {ranking:.2f}, "
        f"an empty call {empty:.2f}, three times"
    )
    return {_TEXTS: _against(pairs, "ms of CPU", note)}


def _rate(bench: RequestBench) -> Mapping[str, Measured]:
    """Go up from a rate that is sure to be kept until one is not."""
    requests = of_people(_LARGE_USERS, PEOPLE)
    met, told = 0.0, "none was kept"
    with bench.serving(bench.large_home) as running:
        alone = checked(
            bench.generator.run(
                grpc_calls_for, running.address, requests, 4, bench.seconds, RECOMMEND
            )
        )
        rate = alone.rate / 2
        for _ in range(_STEPS):
            load = (running.address, requests, rate, bench.seconds)
            p50, p99 = (1e3 * each for each in bench.generator.run(offer, *load))
            bench.say(f"{rate:.0f}/s: p99 {p99:.1f} ms")
            if p99 >= _P99_MS and met:
                break
            if p99 < _P99_MS:
                met, told = rate, f"p99 {p99:.1f} ms; p50 {p50:.1f} ms"
            rate *= _STEP if met else 1 / _STEP
    note = f"{told}; four callers in a closed loop {alone.rate:.0f}/s"
    return {_RATE: single(met, round(met * bench.seconds), note)}


def _beside_stats(bench: RequestBench) -> Mapping[str, Measured]:
    films = [str(number) for number in range(1, 1600)]
    random = np.random.default_rng(1)

    def write(address: str, _: Path) -> None:
        drawn = random.integers(len(films), size=(_MORE_PEOPLE, _MORE_LIKES))
        pairs = ((f"more {at}", films[film]) for at, row in enumerate(drawn) for film in row)
        write_likes(address, pairs)

    home = home_of("demo-300000", bench.out, bench.worker.address, write, bench.demo_home)
    requests = of_people(_DEMO_USERS, PEOPLE)
    pairs = []
    with bench.serving(home) as running:

        def median() -> float:
            load = (running.address, requests, 1, bench.seconds, RECOMMEND)
            outcome = checked(bench.generator.run(grpc_calls_for, *load))
            return 1e3 * statistics.median(outcome.latencies)

        median()
        for _ in bench.turns("beside statistics"):
            alone = median()
            beside = bench.other.start(
                grpc_calls_for, running.address, [b""], 12, 1.5 * bench.seconds, STATS
            )
            time.sleep(_BEGUN_SECONDS)
            pairs.append((median(), alone))
            stats = checked(beside.result())
    return {_STATS: _against(pairs, "ms", f"; {stats.rate:.0f} statistics/s")}


def _joined(bench: RequestBench) -> Mapping[str, Measured]:
    texts = _distinct(bench, 2 * _CALLERS * max(10, bench.calls // _CALLERS))
    requests = of_texts(texts, len(texts))
    half = len(texts) // 2
    with bench.serving(bench.demo_home) as running:
        load = (running.address, requests[:half], _CALLERS, False, RECOMMEND)
        checked(bench.generator.run(grpc_calls, *load))
        before = bench.worker.calls("Embed")
        load = (running.address, requests[half:], _CALLERS, False, RECOMMEND)
        outcome = checked(bench.generator.run(grpc_calls, *load))
        calls = bench.worker.calls("Embed") - before
    note = f"{calls:.0f} calls for {half} texts, {outcome.rate:.0f} answers/s"
    return {_JOINED: single(calls / half, half, note)}


def _calls(bench: RequestBench) -> Mapping[str, Measured]:
    traces = bench.out / "traces"
    traces.unlink(missing_ok=True)
    under = ("-P", str(ROOT / "bench" / "request" / "traced.py"), str(traces))
    requests = [*of_people(_DEMO_USERS, _TRACED), *of_texts(QUERIES, _TRACED)]
    with bench.serving(bench.demo_home, under) as running:
        checked(bench.generator.run(grpc_calls, running.address, requests, 1, False, RECOMMEND))
    counted = [json.loads(line) for line in traces.read_text().splitlines()]
    if len(counted) != len(requests):
        raise NotRun(f"{len(counted)} of {len(requests)} requests were traced")
    # The first of each kind find caches empty.
    halves = counted[_TRACED // 2 : _TRACED], counted[3 * _TRACED // 2 :]

    def least(name: str, kind: int) -> float:
        return float(min(each[name] for each in halves[kind]))

    measured = {
        figure: single(least(name, 0), _TRACED // 2, f"a person; a query {least(name, 1):.0f}")
        for figure, name in ((_FILES, "files"), (_FUNCTIONS, "functions"))
    }
    own = f"{least('our_calls', 0):.0f} of them ours; a query {least('calls', 1):.0f}"
    return {**measured, _CALLS: single(least("calls", 0), _TRACED // 2, own)}


def _stall(bench: RequestBench) -> Mapping[str, Measured]:
    measured = {}
    with copied(bench.demo_home, "home-stall") as home, bench.serving(home) as running:
        usual = statistics.median(bench.generator.run(probe, running.address, bench.seconds))
        for name, (method, request) in HEAVY.items():
            contents = [request(turn).SerializeToString() for turn in range(_VARIANTS)]
            load = (contents, 1, bench.seconds, f"/longtail.v1.{method}")
            beside = bench.other.start(grpc_calls_for, running.address, *load)
            seen = bench.generator.run(probe, running.address, bench.seconds)
            outcome = checked(beside.result())
            call = 1e3 * statistics.median(outcome.latencies)
            size = len(contents[0]) / 2**20
            note = f"{size:.1f} MiB, {call:,.0f} ms a call; usually {1e3 * usual:.1f} ms"
            measured[name] = single(1e3 * (max(seen) - usual), len(seen), note)
            bench.say(f"stall: {name}")
    return measured


def _history(bench: RequestBench) -> Mapping[str, Measured]:
    ids = bench.large.catalogue.ids
    many, few = "who did much", "who did little"
    pairs = []
    with copied(bench.large_home, "home-history") as home, bench.serving(home) as running:
        # Half of the catalogue is left to be recommended.
        seen = islice(cycle(ids[: len(ids) // 2]), 100_000)
        write_likes(
            running.address, [*((many, item) for item in seen), *((few, x) for x in ids[:100])]
        )
        asked = [of_people([user], bench.calls) for user in (many, few)]
        for requests in asked:
            bench.cpu([running], RECOMMEND, requests[:_WARMUP])
        for _ in bench.turns("CPU of a long history"):
            ours, theirs = (bench.cpu([running], RECOMMEND, requests) for requests in asked)
            pairs.append((ours, theirs))
    return {_HISTORY: _against(pairs, "ms of CPU")}


def _mean(parts: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the mean milliseconds of searches and of ranking."""
    searching, ranking = (1e3 * statistics.fmean(side) for side in zip(*parts, strict=True))
    return searching, ranking


def _distinct(bench: RequestBench, count: int) -> list[str]:
    """Return texts that nobody asked for before, here and in other sections."""
    texts = list(dict.fromkeys(catalogues.queries(bench.large.catalogue, 3 * count)))
    return [f"{text} {bench.fresh()}" for text in texts[:count]]


SECTIONS = [
    Section(
        "demo",
        "server CPU on the demo, over an empty call's",
        {_DEMO_PERSON: at_most(5, "x"), _DEMO_QUERY: at_most(5, "x")},
        _demo,
    ),
    Section("person", "CPU for a person, over its parts", {_PERSON: at_most(1.5, "x")}, _person),
    Section("query", "CPU for a query asked before", {_QUERY: at_most(1.5, "x")}, _query),
    Section("texts", "CPU for texts all new, worker too", {_TEXTS: at_most(1.25, "x")}, _texts),
    Section("rate", "the most at p99 under 50 ms", {_RATE: at_least(500, "/s")}, _rate),
    Section("stats", "beside 12 callers of statistics", {_STATS: at_most(2, "x")}, _beside_stats),
    Section("joined", "32 callers with a text each", {_JOINED: at_most(0.5, "")}, _joined),
    Section(
        "calls",
        "what a Recommend goes through",
        {_FILES: at_most(30, ""), _FUNCTIONS: at_most(100, ""), _CALLS: at_most(300, "")},
        _calls,
    ),
    Section(
        "stall",
        "longest stall beside a call of 16 MiB",
        {name: at_most(20, "ms") for name in HEAVY},
        _stall,
    ),
    Section("history", "100,000 interactions", {_HISTORY: at_most(1.5, "x")}, _history),
]
