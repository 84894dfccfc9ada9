"""Greedy re-ranking for objectives that see of an item only its relevance and its group.

Of two candidates of the same group the more relevant one is then always the better next item. So
a greedy step need not look at all candidates: it compares the best remaining one of each group, and
does so for all requests at once.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from longtail.server.ranking.popularity import Bucket
from numpy.typing import NDArray

from evaluation.baselines.dials import relevance
from evaluation.task import Floats, Ints, Task

# From how many items of each group the lists hold so far (U, G), the same total in each row, to
# the worth (U, G) of one more item of that group.
Bonus = Callable[[Ints], Floats]


@dataclass(frozen=True)
class Queues:
    """The pools of U requests, divided into G groups, the most relevant first in each.

    `positions` (U, G, k): in the pool. `relevance` (U, G, k). `sizes` (U, G): how many of the k
    places are filled; what lies beyond them is zero.
    """

    positions: Ints
    relevance: Floats
    sizes: Ints

    @classmethod
    def of(cls, task: Task, group: NDArray[np.integer], groups: int) -> "Queues":
        """Divide the pools by the `group` (I,), 0 to `groups` - 1, of each catalogue item."""
        values = relevance(task)
        order = np.argsort(-values, axis=1, kind="stable")
        values = np.take_along_axis(values, order, axis=1)
        member = group[np.take_along_axis(task.items, order, axis=1)]
        shape = (len(order), groups, task.k)
        positions, queued = np.zeros(shape, np.int64), np.zeros(shape)
        sizes = np.zeros(shape[:2], np.int64)
        for g in range(groups):
            place = np.cumsum(member == g, axis=1) - 1
            rows, columns = np.nonzero((member == g) & (place < task.k))
            where = rows, g, place[rows, columns]
            positions[where], queued[where] = order[rows, columns], values[rows, columns]
            sizes[:, g] = np.minimum(place[:, -1] + 1, task.k)
        return cls(positions, queued, sizes)


def tail_or_rest(task: Task) -> Queues:
    """Divide the pools in two: group 0 is head and middle, group 1 the tail."""
    return Queues.of(task, (task.catalogue.bucket == Bucket.TAIL).astype(np.int64), 2)


def buckets(task: Task) -> Queues:
    """Divide the pools into head, middle and tail, in the order of `Bucket`."""
    return Queues.of(task, task.catalogue.bucket, len(Bucket))


def greedy(queues: Queues, weight: float, bonus: Bonus) -> Ints:
    """Return lists (U, k) that grow by the item with the largest value.

    The value is (1 - weight) * relevance + weight * bonus. Of equals the most relevant one is
    taken.
    """
    users, groups, k = queues.positions.shape
    rows = np.arange(users)
    taken = np.zeros((users, groups), np.int64)
    lists = np.empty((users, k), np.int64)
    for step in range(k):
        place = np.minimum(taken, k - 1)[..., None]
        following = np.take_along_axis(queues.relevance, place, axis=2)[..., 0]
        value = (1 - weight) * following + weight * bonus(taken)
        value = np.where(taken < queues.sizes, value, -np.inf)
        equals = value == value.max(axis=1, keepdims=True)
        chosen = np.argmax(np.where(equals, following, -np.inf), axis=1)
        lists[:, step] = queues.positions[rows, chosen, taken[rows, chosen]]
        taken[rows, chosen] += 1
    return lists
