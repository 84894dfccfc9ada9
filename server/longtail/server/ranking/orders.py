"""In which orders candidates are taken: the order that is most wanted, and what it gives way to."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from longtail.server.ranking.diversity import pick_diverse
from longtail.server.ranking.popularity import Bucket
from longtail.server.ranking.quota import Candidates, Prices, ideal_dcg
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Matrix = NDArray[np.float32]

# Of each bucket, so many times what is wanted, and so many at least, compete to be unlike the rest.
DIVERSE_SHARE, DIVERSE_LEAST = 3, 50
# Shares of the diversity, then of the coverage price, that are tried in turn: an order that goes
# far from relevance may have no list that keeps to the budget.
WEAKER = (1.0, 0.5, 0.25, 0.125)
# Prices of the tail at which caps are tried when too little of the tail is left within them.
TAIL_PRICES = (0.1, 0.3, 1.0, 3.0, 1000.0)


@dataclass(frozen=True)
class TakingOrder:
    """What a list may hold, and what comes first.

    `pool`: the candidates that may be in it, from the most relevant to the least. `order`: those
    that may be taken without a draw, in the order in which those of a bucket are. `diversity`: the
    strength with which that order was made.
    """

    pool: Ints
    order: Ints
    diversity: float


@dataclass(frozen=True)
class Diversity:
    """How unlike each other candidates with `vectors` (n, d) are to be: `strength`, 0 to 1."""

    strength: float
    vectors: Matrix


def taking_orders(
    candidates: Candidates,
    unpinned: Ints,
    most_relevant: Ints,
    capped: Callable[[Ints], Ints],
    k: int,
    room: int,
    prices: Prices,
    diversity: Diversity | None,
) -> Iterator[TakingOrder]:
    """Yield orders for `room` free places of k, from the one that is most wanted.

    `unpinned`: the candidates without a place, from the most relevant to the least. `capped` leaves
    out of an order what the caps do not admit beside those before, and `most_relevant` is what it
    leaves of `unpinned`. One of the orders is that of relevance, which keeps to any budget; those
    after it have more of the tail within the caps.
    """
    relevance = candidates.relevance
    if len(most_relevant) == len(unpinned) and not prices.coverage and diversity is None:
        yield TakingOrder(most_relevant, most_relevant, 0.0)
        return
    gain = relevance / ideal_dcg(candidates, k)
    coverage = prices.coverage / k * candidates.rarity
    worth = gain + coverage
    within_caps = len(most_relevant) < len(unpinned)

    def pool_at(tail_price: float) -> Ints:
        tail = (candidates.bucket == Bucket.TAIL) / k
        return _falling(capped(_falling(unpinned, worth + tail_price * tail)), relevance)

    pool = pool_at(prices.tail) if within_caps else most_relevant
    if diversity is not None:
        for share in WEAKER:
            strength = share * diversity.strength
            order = _diverse(candidates.bucket, pool, worth, room, strength, diversity.vectors)
            yield TakingOrder(pool, order, strength)
    if prices.coverage:
        for share in WEAKER:
            key = worth if share == 1 else gain + share * coverage
            yield TakingOrder(pool, _falling(pool, key), 0.0)
    else:
        yield TakingOrder(pool, pool, 0.0)
    if within_caps or prices.coverage:
        yield TakingOrder(most_relevant, most_relevant, 0.0)
    if within_caps:
        for tail_price in TAIL_PRICES:
            pool = pool_at(tail_price)
            yield TakingOrder(pool, pool, 0.0)


def _falling(items: Ints, key: Floats) -> Ints:
    order: Ints = items[(-key[items]).argsort(kind="stable")]
    return order


def _diverse(
    bucket: NDArray[np.int8],
    pool: Ints,
    worth: Floats,
    room: int,
    strength: float,
    vectors: Matrix,
) -> Ints:
    """Return `room` of each bucket of a pool, in the order of their marginal relevance."""
    competing = max(DIVERSE_SHARE * room, DIVERSE_LEAST)
    taken = []
    by_worth = _falling(pool, worth)
    for each in Bucket:
        members = by_worth[bucket[by_worth] == each][:competing]
        if len(members):
            picked = pick_diverse(vectors[members], worth[members], room, 1 - strength)
            taken.append(members[picked])
    return np.concatenate(taken) if taken else pool
