"""The time of a search against bare hnswlib's, and how both grow with the catalogue."""

import time
from collections.abc import Callable, Mapping

import numpy as np

from bench.figures import Measured, at_most
from bench.index import bare
from bench.index.context import SMALL_ROWS, IndexBench
from bench.index.prepared import Opened
from bench.index.turns import against, take_turns
from bench.section import Section

_COUNTS = (10, 100, 200)
_PER_ROUND = 150
_OURS, _BARE = "ours", "bare"
_OURS_SMALL, _BARE_SMALL = "ours, small", "bare, small"


def _name(k: int) -> str:
    return f"search p50, k {k}"


def _growth_name(k: int) -> str:
    return f"growth of p50 from {SMALL_ROWS:,}, k {k}"


def _speed(bench: IndexBench) -> Mapping[str, Measured]:
    rounds = _rounds(bench, {_OURS: _search(bench, bench.whole), _BARE: _bare(bench, bench.whole)})
    return {
        _name(k): against(medians[_OURS], medians[_BARE], "p50") for k, medians in rounds.items()
    }


def _growth(bench: IndexBench) -> Mapping[str, Measured]:
    calls = {
        _OURS: _search(bench, bench.whole),
        _OURS_SMALL: _search(bench, bench.small),
        _BARE: _bare(bench, bench.whole),
        _BARE_SMALL: _bare(bench, bench.small),
    }
    measured = {}
    for k, medians in _rounds(bench, calls).items():
        ours = np.divide(medians[_OURS], medians[_OURS_SMALL])
        theirs = np.divide(medians[_BARE], medians[_BARE_SMALL])
        ratios = ours / theirs
        small, whole = (1e3 * float(np.median(medians[name])) for name in (_OURS_SMALL, _OURS))
        note = (
            f"{np.median(ours):.2f}x against {np.median(theirs):.2f}x, "
            f"ours from {small:.3f} to {whole:.3f} ms"
        )
        low, high = float(ratios.min()), float(ratios.max())
        measured[_growth_name(k)] = Measured(float(np.median(ratios)), len(ratios), low, high, note)
    return measured


Ask = Callable[[int, int], object]


def _rounds(bench: IndexBench, calls: Mapping[str, Ask]) -> dict[int, dict[str, list[float]]]:
    """Return the median seconds of each round, by how many were asked for and who was asked."""
    medians: dict[int, dict[str, list[float]]] = {k: {name: [] for name in calls} for k in _COUNTS}
    for number in bench.turns("search"):
        for k in _COUNTS:
            asked = {name: _asking(call, k) for name, call in calls.items()}
            for name, seconds in take_turns(asked, bench.of_round(number, _PER_ROUND)).items():
                medians[k][name].append(float(np.median(seconds)))
    return medians


def _asking(call: Ask, k: int) -> Callable[[int], object]:
    return lambda query: call(query, k)


def _search(bench: IndexBench, held: Opened) -> Ask:
    queries = bench.noisy

    def search(query: int, k: int) -> object:
        state = held.view.state
        scope = state.scope(time.time_ns() // 1000, None)
        return state.index.search(queries[query], k, scope)

    return search


def _bare(bench: IndexBench, held: Opened) -> Ask:
    queries = bench.noisy
    search = bare.loaded(held.generation)
    return lambda query, k: search(queries[query], k)


SECTIONS = [
    Section(
        2, "search against bare hnswlib", {_name(k): at_most(1.25, "x") for k in _COUNTS}, _speed
    ),
    Section(
        8,
        "growth with the catalogue",
        {_growth_name(k): at_most(1.1, "x") for k in _COUNTS},
        _growth,
    ),
]
