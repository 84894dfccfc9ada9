"""FairCo: a controller that gives each group exposure in proportion to its merit.

Morik, Singh, Hong and Joachims, "Controlling Fairness and Bias in Dynamic Learning-to-Rank"
(SIGIR 2020). Requests are served one after the other. A list is ordered by
relevance + dial * error, where a group's error is how far its exposure per merit, summed over the
requests before, is behind that of the best served group.
"""

from collections.abc import Callable

import numpy as np
from longtail.server.ranking.popularity import Bucket

from evaluation.baselines.dials import factors, relevance
from evaluation.baselines.groups import tail_or_rest
from evaluation.task import Family, Floats, Ints, Method, Rerank, Task


def log_discounted(k: int) -> Floats:
    """Return the exposure (k,) of each place as the paper has it: 1 / log2(place + 1)."""
    return 1 / np.log2(np.arange(2, k + 2))


def counted(k: int) -> Floats:
    """Return the exposure (k,) of each place when every place of a list counts the same."""
    return np.ones(k)


def merit(task: Task) -> Floats:
    """Return the merit of head and middle, and of tail (2,): their relevance in the mean pool.

    The paper divides the exposure and the merit of a group by its size, which cancels between them.
    """
    tail = task.catalogue.bucket[task.items] == Bucket.TAIL
    values = relevance(task)
    return np.array([(values * ~tail).sum(), (values * tail).sum()]) / len(values)


def presence(task: Task) -> Floats:
    """Return the candidates of head and middle, and of tail (2,), in the mean pool.

    As a merit it asks for the same exposure for every candidate: the paper's controller held to
    parity, which goes further in favour of the tail than its own target.
    """
    tail = task.catalogue.bucket[task.items] == Bucket.TAIL
    return np.array([(~tail).sum(), tail.sum()]) / len(tail)


def fairness_controller(
    exposure_of_places: Callable[[int], Floats], merit: Callable[[Task], Floats]
) -> Rerank:
    """Return FairCo for two groups, tail and rest, that counts exposure and merit as given."""

    def rerank(task: Task, dial: float) -> Ints:
        queues = tail_or_rest(task)
        places = exposure_of_places(task.k)
        # A group that is in no pool has no merit; it has no exposure either.
        merits = np.maximum(merit(task), np.finfo(float).tiny)
        filled = np.arange(task.k) < queues.sizes[..., None]
        values = np.where(filled, queues.relevance, -np.inf)
        exposure = np.zeros(len(merits))
        lists = np.empty((len(values), task.k), np.int64)
        for row, value in enumerate(values):
            served = exposure / merits
            error = served.max() - served
            order = np.argsort(-(value + dial * error[:, None]), axis=None, kind="stable")[: task.k]
            lists[row] = queues.positions[row].ravel()[order]
            # The rest's k places come before the tail's.
            in_tail = order >= task.k
            exposure += places[~in_tail].sum(), places[in_tail].sum()
        return lists

    return rerank


# The error sums over the requests so far: the more there are, the smaller a dial takes the
# controller to its target. At large dials it swings between lists of one group alone.
DIALS = factors(1e-6, 1, 47)
FAIRCO = Method("FairCo", Family.BASELINE, DIALS, fairness_controller(log_discounted, merit))
FAIRCO_COUNTED = Method(
    "FairCo counted", Family.BASELINE, DIALS, fairness_controller(counted, merit)
)
FAIRCO_PARITY = Method(
    "FairCo parity", Family.BASELINE, DIALS, fairness_controller(counted, presence)
)
