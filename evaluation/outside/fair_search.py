"""FA*IR from the package `fairsearchcore`: a minimum of tail items in every prefix of the list.

Zehlike, Bonchi, Castillo, Hajian, Megahed and Baeza-Yates, "FA*IR: A Fair Top-k Ranking Algorithm"
(CIKM 2017). The tail is the protected group. The table of minima, with its significance corrected
for the many prefixes that are tested, is the package's; only the placing is done here, for all
lists at once, because the package builds an object per document.
"""

import warnings
from functools import cache

import numpy as np
from fairsearchcore import Fair, fail_prob
from longtail.server.ranking.popularity import Bucket
from numpy.typing import NDArray

from evaluation.task import Family, Floats, Ints, Method, Task

# The significance level of the authors' experiments.
ALPHA = 0.1
# The range of p, the least share of protected items, for which the package vouches.
MINIMUM_SHARES = tuple(np.linspace(0.02, 0.98, 25).tolist())


def _hash(key: fail_prob.LegalAssignmentKey) -> int:
    return hash(
        (
            key.remaining_candidates,
            len(key.remaining_block_sizes),
            key.current_block_number,
            key.candidates_assigned_so_far,
        )
    )


# The package hashes its key to a numpy number, which Python refuses. Which keys are equal, and so
# every table, stays as it was.
fail_prob.LegalAssignmentKey.__hash__ = _hash


@cache
def minimum_table(k: int, minimum_share: float) -> tuple[int, ...]:
    """Return the k minima m(1), ..., m(k): how many tail items each prefix must hold.

    Raises ValueError for k under 2.
    """
    with warnings.catch_warnings():
        # It warns, for each table, that it was not tested with k under 10.
        warnings.simplefilter("ignore", UserWarning)
        return tuple(Fair(k, minimum_share, ALPHA).create_adjusted_mtable())


def place(scores: Floats, tail: NDArray[np.bool_], minima: tuple[int, ...]) -> Ints:
    """Fill lists from pools (U, n), as positions (U, k): the best, or the best tail where it must.

    A pool that runs out of tail items goes on with the rest. Of equals the tail item comes first.
    """
    people, n = scores.shape
    rows = np.arange(people)
    # Both sides from the best to the worst, each ending in a score that nothing falls under.
    tail_order, rest_order = (
        np.argsort(np.where(side, -scores, np.inf), axis=1, kind="stable") for side in (tail, ~tail)
    )
    tail_scores, rest_scores = (
        np.pad(
            np.take_along_axis(np.where(side, scores, -np.inf), order, axis=1),
            ((0, 0), (0, 1)),
            constant_values=-np.inf,
        )
        for side, order in ((tail, tail_order), (~tail, rest_order))
    )
    taken = np.zeros(people, np.int64)
    lists = np.empty((people, len(minima)), np.int64)
    for rank, minimum in enumerate(minima):
        best_tail, best_rest = tail_scores[rows, taken], rest_scores[rows, rank - taken]
        takes_tail = np.isfinite(best_tail) & ((taken < minimum) | (best_tail >= best_rest))
        lists[:, rank] = np.where(
            takes_tail,
            tail_order[rows, np.minimum(taken, n - 1)],
            rest_order[rows, np.minimum(rank - taken, n - 1)],
        )
        taken += takes_tail
    return lists


def _fa_ir(task: Task, minimum_share: float) -> Ints:
    tail = task.catalogue.bucket[task.items] == Bucket.TAIL
    return place(task.scores, tail, minimum_table(task.k, minimum_share))


METHODS = (Method("FA*IR", Family.OUTSIDE, MINIMUM_SHARES, _fa_ir),)
