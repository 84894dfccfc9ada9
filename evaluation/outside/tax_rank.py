"""TaxRank from `fairdiverse`: exposure taxed item by item, then handed out by optimal transport.

Xu, Ye, Wang, Pang, Xu and Chua, "A Taxation Perspective for Fair Re-ranking" (SIGIR 2024). The dial
is the tax rate t, from 0 without an upper end. Its lists are drawn at random from the transport
plan, so that even without tax they are not the plain order.
"""

import numpy as np
from longtail.server.ranking.popularity import Bucket

from evaluation.baselines.dials import relevance
from evaluation.outside.fair_diverse import load, rerank
from evaluation.task import Family, Ints, Method, Task

# Powers 1 - t with small denominators are cones that the solver knows; it fails at t = 1 and, with
# thousands of items, somewhere above 10.
_BELOW_TWO = (0, 1 / 4, 1 / 3, 1 / 2, 2 / 3, 3 / 4, 5 / 4, 4 / 3, 3 / 2, 5 / 3)
_FROM_TWO = (2, 5 / 2, 3, 7 / 2, 4, 5, 6, 7, 8, 10)
TAXES = tuple(map(float, (*_BELOW_TWO, *_FROM_TWO)))
# The transport plan is a matrix of people by items: so many people share one.
PEOPLE = 600

_TAX_RANK = load("TaxRank")


def _tax_rank(task: Task, dial: float) -> Ints:
    # The package draws from numpy's global state, which is given back as it was.
    state = np.random.get_state()  # noqa: NPY002 (its own)
    np.random.seed(task.seed)  # noqa: NPY002 (its own)
    try:
        blocks = np.array_split(np.arange(len(task.items)), -(-len(task.items) // PEOPLE))
        return np.concatenate([_block(task.rows(block), dial) for block in blocks])
    finally:
        np.random.set_state(state)  # noqa: NPY002 (its own)


def _block(task: Task, dial: float) -> Ints:
    people, n = task.items.shape
    items, column = np.unique(task.items, return_inverse=True)
    column = column.reshape(task.items.shape)
    # What is in nobody's pool has no column. What is not in a person's own pool scores zero, and
    # the package draws from a person's `sample_num` best alone: from the pool.
    scores = np.zeros((people, len(items)))
    np.put_along_axis(scores, column, relevance(task), axis=1)
    tail = task.catalogue.bucket[items] == Bucket.TAIL
    membership = np.stack([tail, ~tail], axis=1).astype(np.float64)
    settings = {"t": dial, "ot_lambda": 0.05, "sample_num": n}
    drawn = rerank(_TAX_RANK, scores, membership, task.k, **settings)
    positions: Ints = (column[:, None, :] == drawn[:, :, None]).argmax(axis=2)
    return positions


METHODS = (Method("TaxRank", Family.OUTSIDE, TAXES, _tax_rank),)
