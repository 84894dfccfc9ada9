"""What a Recommend costs, each figure beside the parts that it is held against."""

import json
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path

import numpy as np
from longtail.runtime.identity import Role as CallerRole
from longtail.runtime.keys import Key, hashed, new_secret, write_keys
from longtail.worker.tokenizer import Role

from bench.figures import Measured, NotRun, Sections, against, percentile, single
from bench.load import checked, closed_loop, latency, open_loop
from bench.processes import ROOT
from bench.request.context import RECOMMEND, WARMUP, Context, of_people, of_texts
from bench.request.heavy import HEAVY
from bench.request.homes import PEOPLE, home_of, write_likes
from bench.request.hung import hung
from bench.request.receiver import receiver
from bench.state import copied
from loadtest.open_loop import Schedule

__all__ = ["SECTIONS", "Context"]

SECTIONS: Sections[Context] = Sections()

_STATS = "/longtail.v1.InsightService/GetCatalogStats"
_REFUSED = "RESOURCE_EXHAUSTED"
_HEALTH = "/grpc.health.v1.Health/Check"
# What is asked again and again, so that its vectors are known.
_QUERIES = ("space adventure with robots", "a comedy about a wedding", "war", "http client library")
_DEMO_USERS = [str(number) for number in range(1, 944)]
_LARGE_USERS = [f"p{number}" for number in range(PEOPLE)]
# Of the search for the rate, the factor from one to the next, and how many there are at most.
_STEP, _STEPS, _P99_MS = 1.2, 12, 50.0
_CALLERS = 32
_TRACED = 20
# Of a heavy call: what was written before may be skipped.
_VARIANTS = 3
_PROBES, _DEADLINE_SECONDS = 200.0, 5.0
# Of what is offered to a server that has too much to do: times what it can, for how long, with
# which deadline; and what somebody else asks for meanwhile, a second.
_OVERLOAD, _OVERLOAD_SECONDS, _OVERLOAD_WARMUP, _PATIENCE_SECONDS = 3.0, 60.0, 3.0, 0.5
_OTHER_RATE = 10.0


@SECTIONS.add(
    "demo",
    "server CPU on the demo, over an empty call's",
    "demo, a person <= 5 x",
    "demo, a query asked before <= 5 x",
)
def _demo(bench: Context) -> Iterator[Measured]:
    with bench.serving(bench.demo_home) as running:
        for requests in (of_people(_DEMO_USERS, bench.calls), of_texts(_QUERIES, bench.calls)):
            bench.cpu([running], RECOMMEND, requests[:WARMUP])
            pairs = [bench.cpu_of(running, requests) for _ in bench.turns("CPU on the demo")]
            yield against(pairs, "ms of CPU")


@SECTIONS.add(
    "person",
    "CPU for a person, over its parts",
    "100,000 items, a person asked for before <= 1.5 x",
    "100,000 items, a person asked for the first time <= 1.5 x",
)
def _person(bench: Context) -> Iterator[Measured]:
    size = min(bench.calls, (PEOPLE - WARMUP) // bench.options.rounds)
    searching, ranking = _medians([bench.parts.of_person(number) for number in range(size)])
    before: list[tuple[float, float]] = []
    first: list[tuple[float, float]] = []
    with bench.serving(bench.large_home) as running:
        bench.cpu([running], RECOMMEND, of_people(_LARGE_USERS[-WARMUP:], WARMUP))
        for number in bench.turns("CPU for people"):
            asked = of_people(_LARGE_USERS[number * size : (number + 1) * size], size)
            for pairs in (first, before):
                whole, nothing = bench.cpu_of(running, asked)
                pairs.append((whole, searching + ranking + nothing))
    note = f": searches {searching:.2f}, ranking {ranking:.2f}, an empty call"
    for pairs in (before, first):
        yield against(pairs, "ms of CPU", note)


@SECTIONS.add(
    "query",
    "CPU for a query asked before, over its parts",
    "100,000 items, a query asked before <= 1.5 x",
)
def _query(bench: Context) -> Iterator[Measured]:
    vectors = [bench.bare.embed(text, Role.QUERY) for text in _QUERIES]
    parts = [bench.parts.of_query(vector) for vector in islice(cycle(vectors), bench.calls)]
    searching, ranking = _medians(parts)
    requests, pairs = of_texts(_QUERIES, bench.calls), []
    with bench.serving(bench.large_home) as running:
        bench.cpu([running], RECOMMEND, requests[:WARMUP])
        for _ in bench.turns("CPU of queries"):
            whole, nothing = bench.cpu_of(running, requests)
            pairs.append((whole, searching + ranking + nothing))
    yield against(
        pairs, "ms of CPU", f": search {searching:.2f}, ranking {ranking:.2f}, an empty call"
    )


@SECTIONS.add(
    "texts",
    "CPU for texts all new, worker included, over the parts",
    "100,000 items, a text all new <= 1.25 x",
)
def _texts(bench: Context) -> Iterator[Measured]:
    texts = bench.distinct_texts(bench.options.rounds * bench.calls + WARMUP)
    embedded, vectors = [], []
    for text in texts[: bench.calls]:
        started = time.process_time()
        vectors.append(bench.bare.embed(text, Role.QUERY))
        embedded.append(1e3 * (time.process_time() - started))
    embedding = statistics.median(embedded)
    searching, ranking = _medians([bench.parts.of_query(vector) for vector in vectors])
    rounds = []
    with bench.serving(bench.large_home) as running:
        bench.cpu([running], RECOMMEND, of_texts(texts[-WARMUP:], WARMUP))
        for number in bench.turns("CPU of distinct texts"):
            mine = texts[number * bench.calls : (number + 1) * bench.calls]
            whole, nothing = bench.cpu_of(running, of_texts(mine, len(mine)), bench.worker)
            rounds.append((whole, embedding + searching + ranking + 3 * nothing))
    note = (
        f": embedding {embedding:.2f}, search {searching:.2f}, ranking {ranking:.2f}, three calls"
    )
    yield against(rounds, "ms of CPU", note)


@SECTIONS.add(
    "rate", "the most people answered at p99 under 50 ms", "people answered a second >= 500 /s"
)
def _rate(bench: Context) -> Iterator[Measured]:
    """Go up from a rate that is sure to be kept until one is not."""
    requests = of_people(_LARGE_USERS, PEOPLE)
    met, told = 0.0, "none was kept"
    with bench.serving(bench.large_home) as running:
        load = (running.address, RECOMMEND, requests)
        first = bench.generator.ask(*load, 4).rate
        # By now everybody is known, as where a server has run for a while.
        most = bench.generator.ask(*load, 4, bench.seconds).rate
        rate = most / 2
        for _ in range(_STEPS):
            schedule = Schedule(rate, bench.seconds, 1.0)
            offered = bench.generator.run(open_loop, *load, schedule, _DEADLINE_SECONDS)
            p50, p99 = (1e3 * latency(offered, percent) for percent in (50, 99))
            bench.say(f"{rate:.0f}/s: p99 {p99:.1f} ms")
            if p99 >= _P99_MS and met:
                break
            if p99 < _P99_MS:
                met, told = rate, f"p50 {p50:.1f} ms, p99 {p99:.1f} ms"
            rate *= _STEP if met else 1 / _STEP
    loop = f"four callers in a closed loop {most:.0f}/s, {first:.0f}/s the first time"
    yield single(met, 1, f"{told}; {loop}")


@SECTIONS.add(
    "overload",
    "a person, three times as many as are answered, deadlines of half a second",
    "answered in time, of capacity >= 85 %",
    "refusals, p99 <= 20 ms",
)
def _overload(bench: Context) -> Iterator[Measured]:
    requests = of_people(_DEMO_USERS, PEOPLE)
    with bench.serving(bench.demo_home) as running:
        load = (running.address, RECOMMEND, requests)
        bench.generator.ask(*load, 4)
        capacity = bench.generator.ask(*load, 8, bench.seconds).rate
        schedule = _overloading(bench, capacity)
        offered = bench.generator.run(open_loop, *load, schedule, _PATIENCE_SECONDS)
    good = sum(not each.error for each in offered) / schedule.seconds
    # From when they were sent: that the generator came late to sending is no doing of the server.
    refused = [each for each in offered if each.error == _REFUSED]
    refusals = [1e3 * (each.ended - each.sent) for each in refused]
    due = 1e3 * percentile([each.latency for each in refused], 99)
    lag = 1e3 * percentile([each.lag for each in offered], 99)
    others = sum(each.error not in ("", _REFUSED) for each in offered)
    note = (
        f"{good:.0f} of {capacity:.0f}/s, {others} of {len(offered)} neither answered nor refused"
    )
    yield single(100 * good / capacity, len(offered), note)
    p50, p99 = (percentile(refusals, percent) for percent in (50, 99))
    note = f"p50 {p50:.1f} ms; p99 from when due {due:.1f}, of the generator's own lag {lag:.1f} ms"
    yield single(p99, len(refusals), note)


@SECTIONS.add(
    "fair",
    "a caller of 10 a second beside one of three times capacity, each with a key",
    "answered in time >= 99 %",
)
def _fair(bench: Context) -> Iterator[Measured]:
    secrets = {name: new_secret() for name in ("hot", "other")}
    keys = bench.out / "keys.json"
    write_keys(
        keys, [Key(name, CallerRole.READ, hashed(each), "") for name, each in secrets.items()]
    )
    requests = of_people(_DEMO_USERS, PEOPLE)
    with bench.serving(bench.demo_home, LONGTAIL_SERVER_KEYS=str(keys)) as running:
        load = (running.address, RECOMMEND, requests)
        closed = (*load, 8, bench.seconds, False, secrets["hot"])
        capacity = checked(bench.generator.run(closed_loop, *closed)).rate
        schedule = _overloading(bench, capacity)
        limits = (schedule, _PATIENCE_SECONDS)
        hot = bench.generator.start(open_loop, *load, *limits, secrets["hot"])
        mine = replace(schedule, rate=_OTHER_RATE)
        other = bench.other.run(open_loop, *load, mine, _PATIENCE_SECONDS, secrets["other"])
        beside = sum(not each.error for each in hot.result()) / schedule.seconds
    in_time = 100 * sum(not each.error for each in other) / len(other)
    note = f"p99 {1e3 * latency(other, 99):.0f} ms; the other {beside:.0f} of {capacity:.0f}/s"
    yield single(in_time, len(other), note)


@SECTIONS.add(
    "hung",
    "a worker that hangs, is killed, and comes back",
    "persons who were not answered in time <= 0",
    "until it is noticed <= 2 s",
    "until it serves again <= 3 s",
)
def _hung(bench: Context) -> Iterator[Measured]:
    yield from hung(bench, _DEMO_USERS)


@SECTIONS.add(
    "stats",
    "Recommend beside 12 callers of GetCatalogStats, 300,000 interactions",
    "median of Recommend <= 2 x",
)
def _stats(bench: Context) -> Iterator[Measured]:
    def write(address: str, _: Path) -> None:
        films = np.random.default_rng(1).integers(1, 1600, (2000, 100)).tolist()
        likes = ((f"more {at}", str(film)) for at, row in enumerate(films) for film in row)
        write_likes(address, likes)

    home = home_of("demo-300000", bench.out, bench.worker.address, write, bench.demo_home)
    requests = of_people(_DEMO_USERS, PEOPLE)
    pairs = []
    with bench.serving(home) as running:

        def median() -> float:
            load = (running.address, RECOMMEND, requests, 1, bench.seconds)
            return 1e3 * statistics.median(bench.generator.ask(*load).latencies)

        median()
        for _ in bench.turns("beside statistics"):
            alone = median()
            load = (running.address, _STATS, [b""], 12, 1.5 * bench.seconds)
            beside = bench.other.start(closed_loop, *load)
            # Until all of them are at it.
            time.sleep(0.3)
            pairs.append((median(), alone))
            stats = checked(beside.result()).rate
    yield against(pairs, "ms", f"; {stats:.0f} statistics/s")


@SECTIONS.add("joined", "32 callers with a text each, all different", "Embed calls per text <= 0.5")
def _joined(bench: Context) -> Iterator[Measured]:
    texts = bench.distinct_texts(2 * max(bench.calls, 10 * _CALLERS))
    requests, half = of_texts(texts, len(texts)), len(texts) // 2
    with bench.serving(bench.demo_home) as running:
        bench.generator.ask(running.address, RECOMMEND, requests[:half], _CALLERS)
        before = bench.worker.calls("Embed")
        rate = bench.generator.ask(running.address, RECOMMEND, requests[half:], _CALLERS).rate
        calls = bench.worker.calls("Embed") - before
    yield single(calls / half, half, f"{calls:.0f} calls, {rate:.0f} answers/s")


@SECTIONS.add(
    "calls",
    "what a Recommend goes through, from service to reply",
    "files of ours <= 30",
    "functions of ours <= 100",
    "Python calls <= 300",
)
def _calls(bench: Context) -> Iterator[Measured]:
    traces = bench.out / "traces"
    traces.unlink(missing_ok=True)
    under = ("-P", str(ROOT / "bench" / "request" / "traced.py"), str(traces))
    requests = [*of_people(_DEMO_USERS, _TRACED), *of_texts(_QUERIES, _TRACED)]
    with bench.serving(bench.demo_home, under) as running:
        bench.generator.ask(running.address, RECOMMEND, requests)
    counted = [json.loads(line) for line in traces.read_text().splitlines()]
    if len(counted) != len(requests):
        raise NotRun(f"{len(counted)} of {len(requests)} requests were traced")
    # The first of each kind find caches empty.
    person, query = counted[_TRACED // 2 : _TRACED], counted[3 * _TRACED // 2 :]
    for name in ("files", "functions", "calls"):
        values = [statistics.median(each[name] for each in kind) for kind in (person, query)]
        note = f"a person; a query {values[1]:.0f}"
        if name == "calls":
            note += f"; {statistics.median(each['our_calls'] for each in person):.0f} of them ours"
        yield single(values[0], len(person), note)


@SECTIONS.add(
    "stall",
    "longest stall beside a call of up to 16 MiB",
    *(f"{name} <= 20 ms" for name in HEAVY),
)
def _stall(bench: Context) -> Iterator[Measured]:
    with copied(bench.demo_home, "home-stall") as home, bench.serving(home) as running:

        def probed() -> list[float]:
            load = (running.address, _HEALTH, [b""], Schedule(_PROBES, bench.seconds))
            offered = bench.generator.run(open_loop, *load)
            return [each.ended - each.sent for each in offered]

        usual = statistics.median(probed())
        for method, request in HEAVY.values():
            contents = [request(turn).SerializeToString() for turn in range(_VARIANTS)]
            load = (running.address, f"/longtail.v1.{method}", contents, 1, bench.seconds)
            beside = bench.other.start(closed_loop, *load)
            seen = probed()
            call = 1e3 * statistics.median(checked(beside.result()).latencies)
            note = f"{len(contents[0]) / 2**20:.1f} MiB, {call:,.0f} ms a call"
            yield single(1e3 * (max(seen) - usual), len(seen), note)


@SECTIONS.add(
    "history",
    "CPU for a person with 100,000 interactions, against one with 100",
    "100,000 interactions against 100 <= 1.5 x",
)
def _history(bench: Context) -> Iterator[Measured]:
    ids, few = bench.large.catalogue.ids, bench.large.catalogue.ids[:100]
    # Half of the catalogue is left to be recommended.
    many = islice(cycle(ids[: len(ids) // 2]), 100_000)
    pairs = []
    with copied(bench.large_home, "home-history") as home, bench.serving(home) as running:
        write_likes(running.address, (("many", item) for item in many))
        write_likes(running.address, (("few", item) for item in few))
        asked = [of_people([user], bench.calls // 4) for user in ("many", "few")]
        for requests in asked:
            bench.cpu([running], RECOMMEND, requests[:WARMUP])
        for _ in bench.turns("CPU of a long history"):
            pairs.append([bench.cpu([running], RECOMMEND, requests) for requests in asked])
    yield against(pairs, "ms of CPU")


@SECTIONS.add(
    "traces",
    "server CPU with every call traced, over that with none",
    "demo, a person traced <= 1.1 x",
    "demo, a query traced that was asked before <= 1.1 x",
)
def _traces(bench: Context) -> Iterator[Measured]:
    with (
        receiver() as endpoint,
        copied(bench.demo_home, "home-traces") as home,
        bench.serving(home, LONGTAIL_TRACES_ENDPOINT=endpoint) as traced,
        bench.serving(bench.demo_home) as plain,
    ):
        for requests in (of_people(_DEMO_USERS, bench.calls), of_texts(_QUERIES, bench.calls)):
            both = [traced, plain]
            bench.cpu_in_turns(both, RECOMMEND, requests[:WARMUP])
            pairs = [
                bench.cpu_in_turns(both, RECOMMEND, requests) for _ in bench.turns("CPU of traces")
            ]
            yield against(pairs, "ms of CPU")


def _overloading(bench: Context, capacity: float) -> Schedule:
    seconds = bench.seconds if bench.options.quick else _OVERLOAD_SECONDS
    return Schedule(_OVERLOAD * capacity, seconds, _OVERLOAD_WARMUP)


def _medians(parts: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the median milliseconds of searches and of ranking."""
    searching, ranking = (1e3 * statistics.median(side) for side in zip(*parts, strict=True))
    return searching, ranking
