"""Exact long-tail re-ranking: the best list over all ways to share its places.

A list's value depends on which items it holds only through their own worth and through how many
come from head, middle and tail. For fixed numbers the best list takes the worthiest of each bucket
and shows them in the order of relevance, since exchanging any two can only lose. So trying all
(k + 1)(k + 2) / 2 ways to share k places among three buckets finds the best list there is: 66 for
ten places, where a greedy walk finds some list.

What is maximised joins one price for the tail, which is the same for every request (a Lagrange
multiplier: so the tail gets its places where they cost least), a price for what is seldom shown,
and calibration to the person's own taste for the tail (Steck, RecSys 2018; Abdollahpouri et al.,
UMAP 2021, whose Jensen-Shannon divergence it is).
"""

from dataclasses import dataclass
from enum import Enum

import numpy as np
from longtail.server.ranking.divergence import divergence_by_count
from longtail.server.ranking.places import discounts, ideal_gains, numbers, shares
from longtail.server.ranking.popularity import Bucket
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BUCKETS = len(Bucket)
# min_tail_fraction * k is a float; 0.3 * 10 must ask for three items, not four.
ROUNDING = 1e-9
# Two sums of the same terms may differ by so much; a loss below it is none.
LEAST_LOSS = 1e-12


@dataclass(frozen=True)
class Candidates:
    """n candidates to choose from.

    `relevance` (n,): P(relevant), each above zero. `bucket` (n,): the Bucket. `rarity` (n,): 0 to
    1, what the coverage price is paid for. `order`: the candidates that may be taken, in the order
    in which those of a bucket are; None: all, by relevance and rarity. `taste` (3,): shares of the
    buckets in what the person likes; None when that is not known. `expected`: how many items are
    likely relevant, in the pool or not; None: as many as the relevance adds up to.
    """

    relevance: Floats
    bucket: NDArray[np.int8]
    rarity: Floats
    order: Ints | None = None
    taste: Floats | None = None
    expected: float | None = None


@dataclass(frozen=True)
class Prices:
    """What a whole list of it is worth, a list of relevant items only being worth 1.

    `tail`: of tail items. `coverage`: of items with rarity 1. `taste`: the cost of a divergence of
    1 between the list and the person's taste.
    """

    tail: float = 0.0
    coverage: float = 0.0
    taste: float = 0.0


@dataclass(frozen=True)
class Limits:
    """What must hold whatever the prices; the budget goes before the fraction."""

    min_tail_fraction: float = 0.0
    relevance_budget: float = 1.0


@dataclass(frozen=True)
class Places:
    """The places to be filled: `discounts` (m,), falling, what relevance counts at each.

    `held` (3,): how many places are filled already, by bucket; the list is that much longer.
    `taken`: their expected DCG. `reference`: the DCG of all places that losses are measured
    against; None: that of the most relevant list.
    """

    discounts: Floats
    held: tuple[int, ...] = (0,) * BUCKETS
    taken: float = 0.0
    reference: float | None = None

    @classmethod
    def first(cls, k: int) -> "Places":
        """Return the first `k` places of a list."""
        return cls(discounts(k))


class Hindrance(Enum):
    """Why a list holds less of the tail than it should."""

    BUDGET = "budget"
    CANDIDATES = "candidates"


class Saturation(Enum):
    """Why no higher price of the tail brings more of it into a list."""

    LIST = "list"
    CANDIDATES = "candidates"
    BUDGET = "budget"


@dataclass(frozen=True)
class Selection:
    """What fills the places.

    `chosen` (m,): positions in the pool, from the most relevant to the least. `gains`,
    `tail_bonuses` and `coverage_bonuses` (m,): what each item adds to the objective. Of the whole
    list, with what it held already: `taste_cost`, what it pays for its `divergence` from the
    person's taste; `loss`, the share of the reference's expected DCG that was given up;
    `tail_fraction`; `hindrance`, why min_tail_fraction is not met, None when it is; `saturation`,
    None where more of the tail has its price.
    """

    chosen: Ints
    gains: Floats
    tail_bonuses: Floats
    coverage_bonuses: Floats
    taste_cost: float
    divergence: float
    loss: float
    tail_fraction: float
    hindrance: Hindrance | None
    saturation: Saturation | None


def ideal_dcg(candidates: Candidates, k: int) -> float:
    """Return the DCG of a list of `k` that holds whatever is expected to be relevant, one at least.

    Divided by it, an expected DCG is about an expected NDCG, which makes lists of different people
    comparable: the price of the tail means the same for all.
    """
    expected = candidates.expected
    if expected is None:
        expected = float(candidates.relevance.sum())
    gains, expected = ideal_gains(k), max(1.0, expected)
    whole = int(expected)
    if whole >= k:
        return gains[-1]
    return (gains[whole] - gains[whole - 1]) * (expected - whole) + gains[whole - 1]


def relative_loss(dcg: Floats, reference: float) -> Floats:
    """Return the share of `reference` that lists of expected `dcg` (r,) give up, not below zero."""
    losses = 1 - dcg / reference
    losses[losses < LEAST_LOSS] = 0.0
    return losses


def select(
    candidates: Candidates, places: Places, prices: Prices, limits: Limits
) -> Selection | None:
    """Fill `places` (m of them, 0 <= m <= n, in a list of k >= 1) with candidates.

    None when no list keeps to the budget, which happens only if candidates are not taken in the
    order of relevance or places are filled already. Of equal candidates the earlier is taken.
    """
    relevance, m = candidates.relevance, len(places.discounts)
    k = m + sum(places.held)
    ideal = ideal_dcg(candidates, k)
    bonus = prices.coverage / k * candidates.rarity
    order = candidates.order
    if order is None:
        order = (-(relevance / ideal + bonus)).argsort(kind="stable")
    first, sizes = _first_of_buckets(order, candidates.bucket, m)
    counts, members = shares(m)
    if min(sizes) < m:
        possible = (sizes >= counts.T).all(axis=1)
        counts, members = counts[:, possible], members[possible]

    # Ascending from the negative, which is what sort can.
    falling = (-relevance[first]).take(members)
    falling.sort(axis=1)
    dcg = -(falling @ places.discounts)
    tail = counts[_TAIL] + places.held[_TAIL]
    divergences = None
    if candidates.taste is not None:
        divergences = divergence_by_count(candidates.taste, k)
    # All but the DCG depends on one bucket's number at a time.
    worth = _worth_by_count(bonus[first], divergences, places.held, prices)
    value = dcg / ideal + worth.take(counts + _ROWS * (m + 1)).sum(axis=0)
    reference = places.reference
    if reference is None:
        reference = float(np.sort(relevance)[::-1][:m] @ places.discounts) + places.taken
    dcg += places.taken
    allowed = None
    if limits.relevance_budget < 1 or limits.min_tail_fraction > 0:
        allowed = relative_loss(dcg, reference) <= limits.relevance_budget
        if not allowed.any():
            return None
    most = int(tail.max())
    reachable = most if allowed is None else int(tail[allowed].max())
    needed = int(np.ceil(limits.min_tail_fraction * k - ROUNDING))
    if allowed is not None:
        allowed &= tail >= min(needed, reachable)
        value = np.where(allowed, value, -np.inf)
    row = _best(value, dcg)
    chosen = first.take(members[row])
    chosen = chosen[(-relevance[chosen]).argsort(kind="stable")]
    divergence = 0.0
    if divergences is not None:
        listed = counts[:, row] + places.held
        divergence = max(0.0, float(divergences[range(BUCKETS), listed].sum()))
    return Selection(
        chosen=chosen,
        gains=relevance[chosen] * places.discounts / ideal,
        tail_bonuses=(candidates.bucket[chosen] == _TAIL) * (prices.tail / k),
        coverage_bonuses=bonus[chosen],
        taste_cost=prices.taste * divergence,
        divergence=divergence,
        loss=float(relative_loss(dcg[row : row + 1], reference)[0]),
        tail_fraction=float(tail[row] / k),
        hindrance=_hindrance(needed, reachable, most),
        saturation=_saturation(int(tail[row]), reachable, most, k),
    )


def _first_of_buckets(order: Ints, bucket: NDArray[np.int8], count: int) -> tuple[Ints, list[int]]:
    """Return the first `count` of each bucket (3, count), and how many it has, so many at most.

    What a bucket has not is candidate 0.
    """
    first = np.zeros((BUCKETS, count), np.int64)
    sizes = []
    in_order = bucket[order]
    for each in range(BUCKETS):
        found = order[in_order == each][:count]
        first[each, : len(found)] = found
        sizes.append(len(found))
    return first, sizes


def _worth_by_count(
    bonuses: Floats, divergences: Floats | None, held: tuple[int, ...], prices: Prices
) -> Floats:
    """Return what the first 0 to m of each bucket are worth beside their DCG, (3, m + 1).

    `bonuses` (3, m): of those. `divergences` (3, k + 1): added by the numbers in the whole list.
    """
    m = bonuses.shape[1]
    worth = np.zeros((BUCKETS, m + 1))
    bonuses.cumsum(axis=1, out=worth[:, 1:])
    worth[_TAIL] += prices.tail / (m + sum(held)) * numbers(m)
    if divergences is not None:
        for each, before in enumerate(held):
            worth[each] -= prices.taste * divergences[each, before : before + m + 1]
    return worth


def _best(value: Floats, dcg: Floats) -> int:
    best = int(value.argmax())
    equal = (value == value[best]).nonzero()[0]
    if len(equal) > 1:
        # Of equal value, the more relevant.
        best = int(equal[dcg[equal].argmax()])
    return best


def _hindrance(needed: int, reachable: int, most: int) -> Hindrance | None:
    """Tell what keeps a list from `needed` of the tail: it may have `reachable` of `most`."""
    if reachable >= needed:
        return None
    return Hindrance.CANDIDATES if most < needed else Hindrance.BUDGET


def _saturation(tail: int, reachable: int, most: int, k: int) -> Saturation | None:
    if tail < reachable:
        return None
    if tail == k:
        return Saturation.LIST
    return Saturation.CANDIDATES if tail == most else Saturation.BUDGET


# An Enum's members are slow to get at, and NumPy is slow to compare with them.
_TAIL = int(Bucket.TAIL)
_ROWS = np.arange(BUCKETS)[:, None]
