"""Searches through filters that match much or little: what they find, and what they cost."""

import time
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from longtail.server.catalogue.columns.filter import Filter
from longtail.server.catalogue.columns.mask_cache import MaskCache
from longtail.server.catalogue.scope import Scope
from longtail.server.catalogue.state import CatalogueState

from bench.figures import Bar, Measured, at_least, at_most
from bench.index.attributes import SHARES, Mask
from bench.index.context import IndexBench
from bench.index.exact import nearest_cosines, recall
from bench.index.turns import against, take_turns
from bench.section import Section

_K = 10
_RECALL, _TIMES = 0.99, 3.0
_PER_ROUND = 60
_KINDS = ("at random", "by a word")
_FREE, _KNOWN, _NEW = "no filter", "known filter", "new filter"


def _recall_name(share: float, kind: str) -> str:
    return f"recall@{_K}, {share:.1%} {kind}"


def _time_name(share: float, kind: str, state: str) -> str:
    return f"p50, {share:.1%} {kind}, {state}"


def _bars() -> Mapping[str, Bar]:
    bars: dict[str, Bar] = {}
    for share in SHARES:
        for kind in _KINDS:
            bars[_recall_name(share, kind)] = at_least(_RECALL, "")
            bars[_time_name(share, kind, _KNOWN)] = at_most(_TIMES, "x")
            bars[_time_name(share, kind, _NEW)] = at_most(_TIMES, "x")
    return bars


def _filters(bench: IndexBench) -> Mapping[str, Measured]:
    measured: dict[str, Measured] = {}
    for share in SHARES:
        attributes = bench.attributes
        chosen = (
            ("a number", *attributes.at_random(share)),
            (f"the word {attributes.words[share]!r}", *attributes.by_word(share)),
        )
        for kind, (what, wanted, allowed) in zip(_KINDS, chosen, strict=True):
            bench.say(f"filter: {share:.1%} {kind}")
            measured[_recall_name(share, kind)] = _recall(bench, wanted, allowed, what)
            for state, figure in _times(bench, wanted).items():
                measured[_time_name(share, kind, state)] = figure
    return measured


def _recall(bench: IndexBench, wanted: Filter, allowed: Mask, what: str) -> Measured:
    state = bench.whole.view.state
    shares = []
    for queries in (bench.noisy, bench.typed):
        exact = nearest_cosines(bench.vectors, queries, _K, allowed)
        found = []
        for query in queries:
            rows, _ = state.index.search(query, _K, state.scope(_now(), wanted))
            found.append(state.index.vectors(rows))
        shares.append(recall(exact, found, queries))
    noisy, typed = (float(part.mean()) for part in shares)
    every = np.concatenate(shares)
    note = f"{what} {allowed.mean():.2%}; noisy items {noisy:.4f}, typed words {typed:.4f}"
    return Measured(float(every.mean()), len(every), float(every.min()), 1.0, note)


def _times(bench: IndexBench, wanted: Filter) -> Mapping[str, Measured]:
    """Compare with and without the filter, where its mask is known already and where it is not."""
    calls = {
        _FREE: partial(_search, bench, _scope, None),
        _KNOWN: partial(_search, bench, _scope, wanted),
        _NEW: partial(_search, bench, _scope_of_new, wanted),
    }
    medians: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(bench.rounds):
        turns = take_turns(calls, bench.of_round(number, _PER_ROUND))
        for name, seconds in turns.items():
            medians[name].append(float(np.median(seconds)))
    return {state: against(medians[state], medians[_FREE], "p50") for state in (_KNOWN, _NEW)}


def _search(
    bench: IndexBench,
    scope_of: Callable[[CatalogueState, Filter | None], Scope],
    wanted: Filter | None,
    query: int,
) -> object:
    state = bench.whole.view.state
    return state.index.search(bench.noisy[query], _K, scope_of(state, wanted))


def _scope(state: CatalogueState, wanted: Filter | None) -> Scope:
    return state.scope(_now(), wanted)


def _scope_of_new(state: CatalogueState, wanted: Filter | None) -> Scope:
    """Return the scope of a request whose filter was never asked for."""
    known = state.scope(_now(), wanted)
    masks = MaskCache(state.columns.attributes)
    return Scope(known.columns, masks, known.revision, known.rows, known.now, wanted)


def _now() -> int:
    return time.time_ns() // 1000


SECTIONS = [Section(4, "filters", _bars(), _filters)]
