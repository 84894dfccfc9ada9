"""What fills the places of a list, when what is asked for may contradict itself.

The relevance budget goes before everything, then the least share of the tail, then exploration,
then diversity.

Exploration leaves every probability exact. The places that are not drawn for are filled first, as
if the worst of all draws had come out: so the budget holds however the draw turns out, what fills
them is the same for every seed, and its propensity is 1 indeed, of hardly known items too. The draw
is among the hardly known items that were left over, and an item that it may give can come into the
list in no other way.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from itertools import tee

import numpy as np
from longtail.server.ranking.exploration import affordable
from longtail.server.ranking.orders import Diversity, TakingOrder, taking_orders
from longtail.server.ranking.quota import (
    BUCKETS,
    Candidates,
    Hindrance,
    Limits,
    Places,
    Prices,
    Selection,
    select,
)
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


class GaveWay(Enum):
    """What gave way to a wish that goes before it."""

    TAIL_TO_BUDGET = 1
    TAIL_TO_CANDIDATES = 2
    EXPLORATION_TO_BUDGET = 3
    EXPLORATION_TO_CANDIDATES = 4
    DIVERSITY_TO_BUDGET = 5


@dataclass(frozen=True)
class Frame:
    """What stands before anything is chosen for a list of k.

    `unpinned`: candidates without a pin, from the most relevant to the least; `capped` leaves out
    of them what the caps do not admit beside those before, and `most_relevant` is what is left
    then. `slots`: places for some of the `eligible` (n,). `free`: the places that have no pin, and
    `free_discounts` theirs, of all with `discounts` (k,). `held` (3,) and `taken`: number by bucket
    and expected DCG of the `pinned`. `reference`: the DCG that losses are measured against.
    """

    candidates: Candidates
    prices: Prices
    limits: Limits
    unpinned: Ints
    capped: Callable[[Ints], Ints]
    most_relevant: Ints
    diversity: Diversity | None
    eligible: Mask | None
    slots: int
    pinned: Ints
    pinned_places: Ints
    free: Ints
    discounts: Floats
    free_discounts: Floats
    held: tuple[int, ...]
    taken: float
    reference: float


@dataclass(frozen=True)
class Filling:
    """What fills the free places, but for the last `slots`, which are drawn for among `drawable`.

    `drawable`: from the most relevant to the least. `diversity`: the strength that was reached.
    """

    selection: Selection
    slots: int
    drawable: Ints
    diversity: float
    gave_way: frozenset[GaveWay] = frozenset()


@dataclass(frozen=True)
class _Shortage:
    """Why there are not so many slots, and how many there may be at most."""

    gave_way: GaveWay
    at_most: int


def fill(frame: Frame) -> Filling:
    """Return the filling that keeps most of what is asked for."""
    ways = taking_orders(
        frame.candidates,
        frame.unpinned,
        frame.most_relevant,
        frame.capped,
        len(frame.discounts),
        len(frame.free),
        frame.prices,
        frame.diversity,
    )
    slots = min(frame.slots, len(frame.free))
    gave_way = {GaveWay.EXPLORATION_TO_CANDIDATES} if slots < frame.slots else set()
    # Without caps, another order finds no more of the tail among the candidates.
    settled: tuple[Hindrance | None, ...] = (None,)
    if len(frame.most_relevant) == len(frame.unpinned):
        settled = (None, Hindrance.CANDIDATES)
    best: Filling | None = None
    while True:
        # What was worked out for more slots serves for fewer.
        ways, these = tee(ways)
        shortages = []
        for way in these:
            filling = _attempt(frame, way, slots)
            if isinstance(filling, _Shortage):
                shortages.append(filling)
                continue
            if best is None or filling.selection.tail_fraction > best.selection.tail_fraction:
                if best is not None and filling.slots < best.slots:
                    gave_way.add(
                        GaveWay.EXPLORATION_TO_BUDGET
                        if best.selection.hindrance is Hindrance.BUDGET
                        else GaveWay.EXPLORATION_TO_CANDIDATES
                    )
                best = filling
            if filling.selection.hindrance in settled:
                break
        if best is None:
            gave_way.add(min((each.gave_way for each in shortages), key=lambda way: way.value))
            slots = min(slots - 1, max(each.at_most for each in shortages))
        elif best.selection.hindrance is not None and slots > 0:
            # What exploration costs, or its places, may give more to the tail.
            slots //= 2
        else:
            break
    if frame.diversity is not None and best.diversity < frame.diversity.strength:
        gave_way.add(GaveWay.DIVERSITY_TO_BUDGET)
    match best.selection.hindrance:
        case Hindrance.BUDGET:
            gave_way.add(GaveWay.TAIL_TO_BUDGET)
        case Hindrance.CANDIDATES:
            gave_way.add(GaveWay.TAIL_TO_CANDIDATES)
    return replace(best, gave_way=frozenset(gave_way)) if gave_way else best


def _attempt(frame: Frame, way: TakingOrder, slots: int) -> Filling | _Shortage:
    """Fill all but the last `slots` free places, with candidates taken in one order."""
    if len(way.pool) < len(frame.free):
        return _Shortage(GaveWay.EXPLORATION_TO_CANDIDATES, slots - 1)
    weights = frame.free_discounts
    filled = len(weights) - slots
    held, taken, drawable = frame.held, frame.taken, way.pool[:0]
    if slots and frame.eligible is not None:
        found = _drawable(frame, way.pool, frame.eligible, weights, slots)
        if isinstance(found, _Shortage):
            return found
        drawable = found
        # The worst draw, and whatever is drawn, no fewer of the tail.
        taken += float(frame.candidates.relevance[drawable[-slots:]] @ weights[filled:])
        buckets = np.sort(frame.candidates.bucket[drawable])[:slots]
        held = tuple(np.add(held, np.bincount(buckets, minlength=BUCKETS)).tolist())
    given = frame.candidates
    selection = select(
        # In half the time of `replace`.
        Candidates(
            given.relevance, given.bucket, given.rarity, way.order, given.taste, given.expected
        ),
        Places(weights[:filled], held, taken, frame.reference),
        frame.prices,
        frame.limits,
    )
    if selection is None:
        return _Shortage(GaveWay.EXPLORATION_TO_BUDGET, slots - 1)
    if slots and frame.eligible is not None:
        left = drawable[~np.isin(drawable, selection.chosen)]
        if len(left) < slots:
            within_budget = len(drawable) < np.count_nonzero(frame.eligible[way.pool])
            return _Shortage(
                GaveWay.EXPLORATION_TO_BUDGET
                if within_budget
                else GaveWay.EXPLORATION_TO_CANDIDATES,
                len(left),
            )
        drawable = left
    return Filling(selection, slots, drawable, way.diversity)


def _drawable(
    frame: Frame, pool: Ints, eligible: Mask, weights: Floats, slots: int
) -> Ints | _Shortage:
    """Return the eligible of a pool of which any `slots` keep to the budget, by relevance.

    With them the most relevant candidates fill the other places. Whatever fills these instead, what
    it takes of the eligible leaves draws that are no worse.
    """
    relevance = frame.candidates.relevance
    filled = len(weights) - slots
    beside = pool[filled:]
    left_over = beside[eligible[beside]]
    if len(left_over) < slots:
        return _Shortage(GaveWay.EXPLORATION_TO_CANDIDATES, len(left_over))
    others = frame.taken + float(relevance[pool[:filled]] @ weights[:filled])
    least = (1 - frame.limits.relevance_budget) * frame.reference - others
    reach = affordable(relevance[left_over], weights[filled:], least)
    if not reach:
        return _Shortage(GaveWay.EXPLORATION_TO_BUDGET, slots - 1)
    upper = pool[:filled]
    return np.concatenate((upper[eligible[upper]], left_over[:reach]))
