"""How liking an item follows from liking its nearest others: one small regression for each item.

Sparse linear item weights on selected neighbours (fsSLIM: Ning and Karypis, "SLIM: Sparse Linear
Methods for Top-N Recommender Systems", ICDM 2011), by ridge regression, which for all others in
place of the nearest would be EASE (Steck, "Embarrassingly Shallow Autoencoders for Sparse Data",
WWW 2019). A cosine counts what two items share with a third once for each; a regression does not.
What it needs grows with the items, not with their square.
"""

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from longtail.server.ranking.cosine import shrunk
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Int32s = NDArray[np.int32]
Singles = NDArray[np.float32]

# The others that an item is regressed on, and what is added to the number of people of each.
REGRESSORS, RIDGE = 100, 100.0
# Weights below this are left out: they are most of all, and lists are as good without them.
LEAST_WEIGHT = 0.01
# An item that fewer people like follows from nothing, and with so many a fit is half trusted.
LEAST_SUPPORT, HALF_SUPPORT = 2, 20.0
# Likes that are looked at, of people drawn evenly, and people of an item when its nearest are
# looked for. They bound the memory: 24 bytes a like while they are put in order, 8 then.
LIKES, PEOPLE = 5_000_000, 1000
# The strongest of what an item leads to that are kept.
LED_TO = 200
# Of the likes of an item and its regressors so many are looked at, of people drawn evenly.
REGRESSED_LIKES = 100_000
# Work between two calls of `pause`.
PAUSE_SECONDS = 0.01


class Stopped(Exception):
    """The fit was told to stop before its end."""


@dataclass(frozen=True, eq=False)
class Regression:
    """What each of n items leads to.

    Item i leads to `items[starts[i] : starts[i + 1]]`, ascending, with `weights`, none below
    LEAST_WEIGHT; `starts` (n + 1,). `support` (n,): people who liked the item when it was fitted,
    0 where it was not.
    """

    starts: Ints
    items: Int32s
    weights: Singles
    support: Singles

    def led_to(self, item: int) -> tuple[Int32s, Singles]:
        """Return the items that an item leads to, ascending, and their weights, (m,) each."""
        if item >= len(self.support):
            return self.items[:0], self.weights[:0]
        part = slice(self.starts[item], self.starts[item + 1])
        return self.items[part], self.weights[part]

    def trust(self, items: Int32s, support: Floats) -> Floats:
        """Return how far the fit is to be trusted of `items` (m,), below 1; 0 where it knew none.

        It is the less so the fewer people it had, and the more the present `support` (m,) exceeds
        them.
        """
        fitted = np.zeros(len(items))
        within = items < len(self.support)
        fitted[within] = self.support[items[within]]
        trust: Floats = fitted / (np.maximum(fitted, support) + HALF_SUPPORT)
        return trust

    @cached_property
    def version(self) -> str:
        """What tells this fit from any other."""
        digest = hashlib.sha256()
        for part in (self.starts, self.items, self.weights):
            digest.update(part.tobytes())
        return digest.hexdigest()[:12]


def fit(likes: Sequence[bytes], count: int, pause: Callable[[int], None]) -> Regression:
    """Return what each of `count` items leads to, by the `likes` of each person.

    Those are int32 numbers of items below `count`, as bytes. `pause` is called with the number of
    items done, every few milliseconds of work; what it raises, such as Stopped, ends the fit.
    """
    people, scale = _sample(likes)
    data = _Likes(people, count)
    support = np.diff(data.starts)
    wanted = np.flatnonzero(support >= LEAST_SUPPORT)
    sources, targets, weights = [_NO_ITEMS], [_NO_ITEMS], [_NO_WEIGHTS]
    begun = -math.inf
    for at, item in enumerate(wanted.tolist()):
        if time.thread_time() - begun > PAUSE_SECONDS:
            pause(at)
            begun = time.thread_time()
        near = data.nearest(item)
        found = data.regressed(item, near, scale)
        leading = found >= LEAST_WEIGHT
        sources.append(near[leading])
        targets.append(np.full(int(leading.sum()), item, np.int32))
        weights.append(found[leading].astype(np.float32))
    fitted = np.zeros(count, np.float32)
    fitted[wanted] = support[wanted] * scale
    return _by_source(
        np.concatenate(sources), np.concatenate(targets), np.concatenate(weights), fitted
    )


def _sample(likes: Sequence[bytes]) -> tuple[Sequence[bytes], float]:
    """Return the likes of so many people that they can be looked at, and by how much to scale."""
    total = sum(map(len, likes)) // _BYTES
    step = max(1, -(-total // LIKES))
    sample = [theirs for theirs in likes[::step] if theirs]
    return sample, total / max(1, sum(map(len, sample)) // _BYTES)


class _Likes:
    """Who likes what, by person and by item."""

    def __init__(self, likes: Sequence[bytes], count: int) -> None:
        self._of_person = likes
        what = np.frombuffer(b"".join(likes), np.int32)
        lengths = np.fromiter(map(len, likes), np.int64, len(likes)) // _BYTES
        who = np.repeat(np.arange(len(likes), dtype=np.int32), lengths)
        self.starts = np.concatenate(([0], np.cumsum(np.bincount(what, minlength=count))))
        self._people = who[np.argsort(what, kind="stable")]
        self._support = np.diff(self.starts).astype(np.float64)
        # Where each person or item stands among those that are looked at; else it does not matter.
        self._row = np.empty(len(likes), np.int32)

    def nearest(self, item: int) -> Int32s:
        """Return the others nearest to an item by the cosine of who likes them, (m,)."""
        people = self._of(item)
        step = -(-len(people) // PEOPLE)
        looked = people[::step]
        theirs = np.frombuffer(b"".join([self._of_person[each] for each in looked]), np.int32)
        others, counts = np.unique(theirs, return_counts=True)
        common = counts.astype(np.float64) * (len(people) / len(looked))
        similarity = shrunk(common, self._support[item], self._support[others])
        similarity[others == item] = -1.0
        among = np.argsort(-similarity)[: min(REGRESSORS, len(others) - 1)]
        nearest: Int32s = others[among]
        return nearest

    def regressed(self, item: int, near: Int32s, scale: float) -> Floats:
        """Return the weight with which each of `near` (m,) leads to the item, (m,)."""
        lists = [self._of(other) for other in (*near.tolist(), item)]
        step = -(-sum(map(len, lists)) // REGRESSED_LIKES)
        if step > 1:
            # The same people of each: their numbers say nothing of them.
            lists = [each[each % step == 0] for each in lists]
            scale *= step
        people = np.concatenate(lists)
        column = np.repeat(np.arange(len(lists)), [len(each) for each in lists])
        # Of equal ones the last has left its position.
        order = np.arange(len(people), dtype=np.int32)
        self._row[people] = order
        distinct = people[self._row[people] == order]
        self._row[distinct] = order[: len(distinct)]
        liked = np.zeros((len(distinct), len(lists)), np.float32)
        liked[self._row[people], column] = 1.0
        together = scale * (liked.T @ liked).astype(np.float64)
        among = together[:-1, :-1]
        among[np.diag_indices_from(among)] += RIDGE
        return np.asarray(np.linalg.solve(among, together[:-1, -1]), np.float64)

    def _of(self, item: int) -> Int32s:
        return self._people[self.starts[item] : self.starts[item + 1]]


def _by_source(sources: Int32s, targets: Int32s, weights: Singles, support: Singles) -> Regression:
    order = np.lexsort((-weights, sources))
    ranked = sources[order]
    first = np.searchsorted(ranked, np.arange(len(support)))
    order = order[np.arange(len(order)) - first[ranked] < LED_TO]
    # By target within a source, as they are looked up.
    order = order[np.lexsort((targets[order], sources[order]))]
    lengths = np.bincount(sources[order], minlength=len(support))
    starts = np.concatenate(([0], np.cumsum(lengths)))
    return Regression(starts, targets[order], weights[order], support)


_BYTES = np.dtype(np.int32).itemsize
_NO_ITEMS, _NO_WEIGHTS = np.empty(0, np.int32), np.empty(0, np.float32)
