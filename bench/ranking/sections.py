"""The time of ranking, of the usual request and with each extra."""

from collections.abc import Mapping
from functools import partial

from longtail.server.ranking.quota import Limits
from longtail.server.recommend.request import Cap, Policy

from bench.figures import Bar, Measured, at_most, percentile, reported
from bench.ranking.context import RankingBench
from bench.section import Section

# Candidates, places, and the bar of p50; p99 may be three times it.
SIZES = ((200, 10, 0.3), (500, 50, 1.5))
PLAIN = {
    "plain": Policy(0.2),
    "with a budget": Policy(0.2, Limits(relevance_budget=0.02)),
}
EXTRAS = {
    "with a least share of the tail": Policy(0.2, Limits(0.3, 0.05)),
    "with a cap": Policy(0.2, caps=(Cap("genre", 3),)),
    "with exploration": Policy(0.2, exploration_slots=2),
    "with diversity": Policy(0.2, diversity=0.3),
}


def _name(kind: str, candidates: int, k: int, percent: int) -> str:
    return f"{candidates} candidates, {k} places, {kind}, p{percent}"


def _measure(policies: Mapping[str, Policy], bench: RankingBench) -> Mapping[str, Measured]:
    measured = {}
    for candidates, k, _ in SIZES:
        rounds: dict[str, list[list[float]]] = {kind: [] for kind in policies}
        bench.say(f"{candidates} candidates, {k} places: {bench.rounds} rounds")
        for _ in range(bench.rounds):
            for kind, policy in policies.items():
                ask = partial(bench.seconds, candidates, k, policy)
                rounds[kind].append([1e3 * ask(number) for number in range(bench.requests)])
        for kind, taken in rounds.items():
            every = [each for one in taken for each in one]
            for percent in (50, 99):
                spread = [percentile(one, percent) for one in taken]
                measured[_name(kind, candidates, k, percent)] = Measured(
                    percentile(every, percent), len(every), min(spread), max(spread)
                )
    return measured


def _bars(policies: Mapping[str, Policy], held: bool) -> Mapping[str, Bar]:
    return {
        _name(kind, candidates, k, percent): at_most(times * bar, "ms") if held else reported("ms")
        for candidates, k, bar in SIZES
        for kind in policies
        for percent, times in ((50, 1), (99, 3))
    }


SECTIONS = [
    Section(1, "usual requests", _bars(PLAIN, held=True), partial(_measure, PLAIN)),
    Section(2, "with extras", _bars(EXTRAS, held=False), partial(_measure, EXTRAS)),
]
