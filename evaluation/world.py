"""What was known at a moment: popularity, behaviour, and what each person had done by then."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.dataset import Dataset, Mask
from server.ranking.behaviour import Behaviour
from server.ranking.popularity import PopularityScale

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Matrix = NDArray[np.float32]

# A rating of at most this share of the least rating of a like is a dislike; between the two it says
# nothing of taste.
DISLIKE_SHARE = 0.6


@dataclass(frozen=True)
class Past:
    """What a person had done, as catalogue positions, the latest first; `seen` is all of it."""

    likes: Ints
    dislikes: Ints
    seen: Ints


class World:
    """The catalogue and its people as of a moment.

    `known` (m,): the rows of the data set that had happened. `likes` (m,): the rows that are likes.
    `vectors` (I, d): unit text vectors. Ranking never looks at any other row.
    """

    def __init__(self, data: Dataset, likes: Mask, known: Mask, vectors: Matrix) -> None:
        self.vectors = vectors
        self.items = len(data.item_ids)
        self.popularity = np.bincount(data.items[known], minlength=self.items).astype(np.float64)
        self.scale = PopularityScale(self.popularity)
        self.bucket = self.scale.bucket(self.popularity)
        self.relative = self.scale.relative_log(self.popularity)
        self._data, self._likes = data, likes
        rows = np.flatnonzero(known)
        rows = rows[np.lexsort((-rows, -data.times[rows], data.users[rows]))]
        self._rows = rows
        self._starts = np.searchsorted(data.users[rows], np.arange(len(data.user_ids) + 1))
        self._dislikes = ~likes & (data.ratings <= DISLIKE_SHARE * least_like(data, likes))
        self.behaviour = Behaviour()
        self._learn(np.flatnonzero(known & likes))

    def past(self, user: int) -> Past:
        """Return what a person had done."""
        rows = self._rows[self._starts[user] : self._starts[user + 1]]
        items = self._data.items[rows]
        return Past(items[self._likes[rows]], items[self._dislikes[rows]], items)

    def behaviour_scores(self, items: Ints, weights: list[Floats]) -> list[Floats]:
        """Return how strongly `items` (m,) lead to each item, (I,) for each `weights` (m,)."""
        numbers = self._number[items]
        learned = self.behaviour.scores(numbers.tolist(), weights)
        scores = np.zeros((len(weights), self.items))
        for of_all, of_learned in zip(scores, learned, strict=True):
            of_all[self._item] = of_learned
        return list(scores)

    def _learn(self, rows: Ints) -> None:
        users, items = self._data.users, self._data.items
        for row in rows[np.argsort(self._data.times[rows], kind="stable")].tolist():
            self.behaviour.like(str(users[row]), str(items[row]))
        self._item = np.fromiter(map(int, self.behaviour.number_of), np.int64)
        self._number = np.full(self.items, -1)
        self._number[self._item] = np.arange(len(self._item))
        self.support = np.zeros(self.items)
        self.support[self._item] = self.behaviour.support(np.arange(len(self._item)))


def least_like(data: Dataset, likes: Mask) -> float:
    """Return the least rating of a like."""
    return float(data.ratings[likes].min())
