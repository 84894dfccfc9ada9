"""Exact long-tail re-ranking: the best list over all ways to share its places.

A list's value depends on which items it holds only through their relevance and how many are tail.
For a fixed number of tail items the best list takes the most relevant ones of either side and
shows them in the order of relevance, since exchanging any two can only lose. So trying every number
of tail items finds the best list there is: k + 1 candidates instead of a greedy walk.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# min_tail_fraction * k is a float; 0.3 * 10 must ask for three items, not four.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Policy:
    """How much place the long tail gets.

    The list maximises (1 - strength) * DCG / (best DCG) + strength**2 * tail fraction, of the lists
    that lose at most `relevance_budget` of the best DCG and hold at least `min_tail_fraction`
    of tail. When no list does both, the budget stands and the tail fraction gives way.
    """

    strength: float = 0.0
    min_tail_fraction: float = 0.0
    relevance_budget: float = 1.0


@dataclass(frozen=True)
class Selection:
    """The chosen list.

    `chosen` (k,): positions in the pool, from the most relevant to the least. `gains` (k,) and
    `bonuses` (k,): what each item adds to the objective through relevance and as part of the tail.
    `loss`: share of the best list's expected DCG that was given up. `baseline` (n,): each
    candidate's place by relevance alone, from 1.
    """

    chosen: Ints
    gains: Floats
    bonuses: Floats
    loss: float
    tail_fraction: float
    min_tail_fraction_met: bool
    baseline: Ints


def select(relevance: Floats, tail: NDArray[np.bool_], k: int, policy: Policy) -> Selection:
    """Choose `k` of n candidates, 1 <= k <= n.

    `relevance` (n,): P(relevant), each above zero. `tail` (n,): whether the candidate is tail.
    Candidates of equal relevance keep the order in which they came.
    """
    order = np.argsort(-relevance, kind="stable")
    baseline = np.empty(len(order), np.int64)
    baseline[order] = np.arange(1, len(order) + 1)

    # Only the k best of either side can be in any of the lists.
    is_tail = tail[order]
    place_in_tail, place_in_rest = np.cumsum(is_tail), np.cumsum(~is_tail)
    within = np.where(is_tail, place_in_tail, place_in_rest)
    short = within <= k
    order, is_tail, within = order[short], is_tail[short], within[short]
    gain = relevance[order]

    # One row per number of tail items; a row marks the members of its list, best first.
    tail_counts = np.arange(max(0, k - int(place_in_rest[-1])), min(k, int(place_in_tail[-1])) + 1)
    members = within <= np.where(is_tail, tail_counts[:, None], k - tail_counts[:, None])
    discount = 1 / np.log2(np.arange(2, k + 2))
    ranks = np.minimum(np.cumsum(members, axis=1), k)
    dcg = np.where(members, gain * discount[np.maximum(ranks - 1, 0)], 0.0).sum(axis=1)

    best = float(dcg.max())
    losses = 1 - dcg / best
    row, met = _choose_row(tail_counts, dcg, losses, k, policy)
    chosen = order[members[row]]
    return Selection(
        chosen=chosen,
        gains=(1 - policy.strength) * relevance[chosen] * discount / best,
        bonuses=np.where(tail[chosen], policy.strength**2 / k, 0.0),
        loss=float(losses[row]),
        tail_fraction=float(tail_counts[row] / k),
        min_tail_fraction_met=met,
        baseline=baseline,
    )


def _choose_row(
    tail_counts: Ints, dcg: Floats, losses: Floats, k: int, policy: Policy
) -> tuple[int, bool]:
    allowed = losses <= policy.relevance_budget
    needed = int(np.ceil(policy.min_tail_fraction * k - ROUNDING))
    reachable = int(tail_counts[allowed].max())
    allowed &= tail_counts >= min(needed, reachable)
    value = (1 - policy.strength) * dcg / dcg.max() + policy.strength**2 * tail_counts / k
    # At strength 1 relevance does not enter the value; it still decides between equals.
    best_first = np.lexsort((-dcg, -value))
    row = next(int(row) for row in best_first if allowed[row])
    return row, reachable >= needed
