"""Pools as one matrix for methods that know of an item only its relevance and its group.

Such a method expects a matrix of all people and all items, in which nearly everything is no
candidate. To it the best tail candidate of one person and that of another may as well be the same
item, so a column can stand for "the j-th best candidate of group g". Nobody needs more than the k
best of a group: G * k columns say the same as I.
"""

from dataclasses import dataclass

import numpy as np

from evaluation.baselines.groups import Queues
from evaluation.task import Floats, Ints

NOBODY = -1


@dataclass(frozen=True)
class Slots:
    """Candidates by group and by rank within the group.

    `relevance` (U, G * depth). `positions` (U, G * depth): where the candidate stands in the pool,
    NOBODY where a person has fewer candidates in a group than `depth`. `membership` (G * depth, G):
    one where the column belongs to the group.
    """

    relevance: Floats
    positions: Ints
    membership: Floats

    @classmethod
    def of(cls, queues: Queues, empty: float) -> "Slots":
        """Lay the queues side by side; a slot with nobody in it has the relevance `empty`."""
        users, groups, depth = queues.positions.shape
        filled = np.arange(depth) < queues.sizes[..., None]
        return cls(
            relevance=np.where(filled, queues.relevance, empty).reshape(users, -1),
            positions=np.where(filled, queues.positions, NOBODY).reshape(users, -1),
            membership=np.repeat(np.eye(groups), depth, axis=0),
        )

    def candidates(self, columns: Ints) -> Ints:
        """Return where the candidates in `columns` (U, k) stand in their pools, as (U, k)."""
        return np.take_along_axis(self.positions, columns, axis=1)
