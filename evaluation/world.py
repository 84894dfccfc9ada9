"""What was known at a moment: popularity, behaviour, and what each person had done by then."""

from dataclasses import dataclass

import numpy as np
from longtail.server.ranking.behaviour import Behaviour
from longtail.server.ranking.popularity import PopularityScale
from longtail.server.ranking.regression import fit
from numpy.typing import NDArray

from evaluation.dataset import Dataset, Mask

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class Past:
    """What a person had done, as catalogue positions, the latest first.

    `items` (m,) with `values` (m,): what they liked, 1, and disliked, -1. `seen`: all that they
    met with.
    """

    items: Ints
    values: Floats
    seen: Ints

    def latest(self, count: int) -> "Past":
        """Return the latest `count` of what they liked and disliked, as if there were no more."""
        return Past(self.items[:count], self.values[:count], self.seen)

    @property
    def likes(self) -> Ints:
        """What they liked, the latest first."""
        return self.items[self.values > 0]

    @property
    def dislikes(self) -> Ints:
        """What they disliked, the latest first."""
        return self.items[self.values < 0]


class World:
    """The catalogue and its people as of a moment.

    `likes` and `dislikes` (m,): which rows of the data set say so. `known` (m,): those that had
    happened; ranking never looks at any other. `vectors` (I, d): unit text vectors; `adapted`: the
    same adapted by a head, which knows no more than ranking does, None without one.
    """

    def __init__(
        self,
        data: Dataset,
        likes: Mask,
        dislikes: Mask,
        known: Mask,
        vectors: Matrix,
        adapted: Matrix | None = None,
    ) -> None:
        self.vectors, self.adapted = vectors, adapted
        self.items, self.people = len(data.item_ids), len(data.user_ids)
        self.popularity = np.bincount(data.items[known], minlength=self.items).astype(np.float64)
        self.scale = PopularityScale(self.popularity)
        self.bucket = self.scale.bucket(self.popularity)
        self._data, self._likes, self._dislikes = data, likes, dislikes
        rows = np.flatnonzero(known)
        rows = rows[np.lexsort((-rows, -data.times[rows], data.users[rows]))]
        self._rows = rows
        self._starts = np.searchsorted(data.users[rows], np.arange(len(data.user_ids) + 1))
        self._learn(np.flatnonzero(known & likes))

    def past(self, user: int) -> Past:
        """Return what a person had done."""
        rows = self._rows[self._starts[user] : self._starts[user + 1]]
        seen = self._data.items[rows]
        values = self._likes[rows].astype(np.float64) - self._dislikes[rows]
        said = values != 0
        return Past(seen[said], values[said], seen)

    def liked(self) -> tuple[Ints, Ints]:
        """Return who liked (m,) what (m,), by person, the latest first."""
        rows = self._rows[self._likes[self._rows]]
        return self._data.users[rows], self._data.items[rows]

    def behaviour_scores(self, items: Ints, weights: list[Floats]) -> list[Floats]:
        """Return how strongly `items` (m,) lead to each item, (I,) for each `weights` (m,)."""
        numbers = self._number[items]
        learned = self.behaviour.scores(numbers.tolist(), weights)
        scores = np.zeros((len(weights), self.items))
        scores[:, self._item[learned.numbers]] = learned.values
        return list(scores)

    def _learn(self, rows: Ints) -> None:
        users, items = self._data.users, self._data.items
        rows = rows[np.argsort(self._data.times[rows], kind="stable")]
        people, liked = (list(map(str, column[rows].tolist())) for column in (users, items))
        self.behaviour = Behaviour.of([(people, liked, [1.0] * len(rows))], str)
        likes, count = self.behaviour.likes(), len(self.behaviour.ids)
        self.behaviour.go_by(fit(likes, count, _at_once), _at_once)
        self._item = np.fromiter(map(int, self.behaviour.number_of), np.int64)
        self._number = np.full(self.items, -1)
        self._number[self._item] = np.arange(len(self._item))
        self.support = np.zeros(self.items)
        self.support[self._item] = self.behaviour.support(np.arange(len(self._item)))


def _at_once(_done: int) -> None:
    pass
