"""The search for the highest rate, and the comparison of two reports."""

import statistics
from random import Random

import pytest

from loadtest.comparison import ComparisonError, changes
from loadtest.search import highest_rate
from loadtest.trial import Json, Trial


@pytest.mark.parametrize("capacity", [3.0, 20.0, 137.0, 999.0])
async def test_the_rate_that_is_found_is_near_to_what_is_possible(capacity: float) -> None:
    tried: list[float] = []

    async def trial(rate: float) -> Trial:
        tried.append(rate)
        return Trial({"offered_rate": rate}, rate <= capacity)

    found = await highest_rate(20.0, 5_000.0, trial)

    assert capacity / 1.05 < found.rate < capacity * 1.05
    assert not found.limited
    assert [each.outcome["offered_rate"] for each in found.trials] == tried


@pytest.mark.parametrize("unlucky", [{1}, {2, 3}, {1, 2, 4}, {5, 7, 9}])
async def test_an_unlucky_while_does_not_decide(unlucky: set[int]) -> None:
    number = 0

    async def trial(rate: float) -> Trial:
        nonlocal number
        number += 1
        return Trial({}, rate <= 100 and number not in unlucky)

    found = await highest_rate(20.0, 5_000.0, trial)

    assert 95 < found.rate < 105
    assert number < 40


async def test_where_chance_decides_searches_agree() -> None:
    random = Random(1)

    async def trial(rate: float) -> Trial:
        # Of 100, a tenth less is met nine times out of ten, a tenth more once.
        return Trial({}, random.random() < 1 / (1 + 9 ** ((rate - 100) / 10)))

    found = [(await highest_rate(20.0, 5_000.0, trial)).rate for _ in range(100)]

    assert 98 < statistics.fmean(found) < 102
    assert statistics.stdev(found) < 4


async def test_a_limit_and_nothing_at_all_are_told_apart() -> None:
    async def always(rate: float) -> Trial:
        return Trial({}, True)

    async def never(rate: float) -> Trial:
        return Trial({}, False)

    limited, nothing = await highest_rate(20, 50, always), await highest_rate(20, 50, never)

    assert (limited.rate, limited.limited) == (50, True)
    assert (nothing.rate, nothing.limited) == (0, False)


def report(p99: float | None, answered: float = 20.0) -> Json:
    trial = {
        "offered_rate": 20.0,
        "achieved_rate": answered,
        "latency_ms": {"p50": 1.0, "p90": 2.0, "p99": p99},
        "error_share": 0.0,
        "processes": {"server": {"cpus": 0.5, "megabytes": 100.0}},
    }
    return {"kind": "run", "scenario": "mixed", "trials": [trial]}


@pytest.mark.parametrize(
    ("before", "after", "worse"),
    [
        (report(10), report(10.5), []),
        (report(10), report(12), ["latency p99 ms"]),
        (report(10), report(None), ["latency p99 ms"]),
        (report(None), report(None), []),
        (report(10), report(5, answered=15), ["answered/s"]),
    ],
)
def test_what_became_worse_is_named(before: Json, after: Json, worse: list[str]) -> None:
    assert [each.name for each in changes(before, after) if each.is_worse(0.1)] == worse


def test_loads_that_were_not_alike_are_not_compared() -> None:
    with pytest.raises(ComparisonError, match="scenario"):
        changes(report(1), report(1) | {"scenario": "query"})
