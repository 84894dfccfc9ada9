"""How much of what an exact search finds the index finds, with the settings it comes with."""

import time
from collections.abc import Mapping

import numpy as np

from bench.figures import Bar, Measured, at_least
from bench.index.context import IndexBench, Matrix
from bench.index.exact import nearest_cosines, recall
from bench.section import Section

_KINDS = ("noisy items", "typed words")
# What ranking asks for by default is 200; it has no bar of its own and must not be worse than 100.
_LIMITS = {10: 0.99, 100: 0.97, 200: 0.97}


def _name(k: int, kind: str) -> str:
    return f"recall@{k}, {kind}"


_BARS: Mapping[str, Bar] = {
    _name(k, kind): at_least(limit, "") for k, limit in _LIMITS.items() for kind in _KINDS
}


def _recall(bench: IndexBench) -> Mapping[str, Measured]:
    measured = {}
    for kind, queries in zip(_KINDS, (bench.noisy, bench.typed), strict=True):
        exact = nearest_cosines(bench.vectors, queries, max(_LIMITS))
        for k in _LIMITS:
            found = [_found(bench, query, k) for query in queries]
            shares = recall(exact[:, :k], found, queries)
            low, median = float(shares.min()), float(np.median(shares))
            note = f"ef {bench.whole.settings.index_ef_search}; median {median:.3f}"
            measured[_name(k, kind)] = Measured(float(shares.mean()), len(shares), low, 1.0, note)
    return measured


def _found(bench: IndexBench, query: Matrix, k: int) -> Matrix:
    state = bench.whole.view.state
    rows, _ = state.index.search(query, k, state.scope(time.time_ns() // 1000, None))
    return state.index.vectors(rows)


SECTIONS = [Section(1, "recall", _BARS, _recall)]
