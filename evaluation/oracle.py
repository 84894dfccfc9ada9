"""What the pools allow: the best that any re-ranker of them could reach.

Each ceiling is reached by a list of its own, by one that knows the truth; none is a list that could
reach them all.
"""

from dataclasses import dataclass

import numpy as np
from longtail.server.ranking.places import discounts
from longtail.server.ranking.popularity import Bucket
from numpy.typing import NDArray

from evaluation.metrics import Truth, mean_of_present
from evaluation.relevance_metrics import share
from evaluation.task import Catalogue

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Ceilings:
    """The highest means over the users that lists of k from the pools can have.

    `tail_recall` leaves out users without a relevant item of the tail, as the metric does.
    `pool_tail_share` is no ceiling: it is the share of the tail in the pools, which a random list
    has on average.
    """

    ndcg: float
    recall: float
    tail_recall: float
    aplt: float
    pool_tail_share: float


def ceilings(pools: Ints, k: int, truth: Truth, catalogue: Catalogue) -> Ceilings:
    """Find the ceilings of lists of `k` from `pools` (U, n) of catalogue positions."""
    tail = catalogue.bucket == Bucket.TAIL
    hits, in_tail = truth.hits(pools), tail[pools]
    dcg = np.concatenate(([0.0], np.cumsum(discounts(k))))
    found = np.minimum(hits.sum(axis=1), k)
    found_tail = np.minimum((hits & in_tail).sum(axis=1), k)
    return Ceilings(
        ndcg=mean_of_present(share(dcg[found], dcg[np.minimum(truth.counts, k)])),
        recall=mean_of_present(share(found, truth.counts)),
        tail_recall=mean_of_present(share(found_tail, truth.count(tail))),
        aplt=mean_of_present(np.minimum(in_tail.sum(axis=1), k) / k),
        pool_tail_share=float(in_tail.mean()),
    )
