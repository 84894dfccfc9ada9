"""Lists out of the whole catalogue, and the setting of a recommender that lists best."""

from functools import cached_property

import numpy as np

from evaluation.base.known import Base, Known, Score, Setting
from evaluation.experiment import Period
from evaluation.relevance_metrics import ndcg
from evaluation.task import Floats, Ints

# Scores that are held at a time: of as many people as that allows.
CELLS = 1 << 22
# Of items with the same score the more popular one comes first.
TIE = 1e-9
ROUNDS = 2


class Field:
    """The people who are asked about in a period, and all that may be recommended to each."""

    def __init__(self, period: Period, seed: int) -> None:
        self.known = Known.of(period.world, seed)
        self._period = period

    def lists(self, score: Score, length: int) -> Ints:
        """Return the `length` best unseen items (U, length) of each, the best first."""
        asked = self._period.requests.users
        most = max(1, CELLS // self._period.world.items)
        blocks = np.array_split(np.arange(len(asked)), -(-len(asked) // most))
        return np.concatenate([self._listed(score, rows, length) for rows in blocks])

    def reached(self, score: Score, k: int) -> float:
        """Return the mean NDCG@k."""
        truth = self._period.requests.truth
        return float(np.nanmean(ndcg(truth.hits(self.lists(score, k)), truth.counts)))

    def _listed(self, score: Score, rows: Ints, length: int) -> Ints:
        scores = score(self._period.requests.users[rows])
        scale = np.maximum(np.abs(scores).max(axis=1, keepdims=True), TIE)
        scores = scores + TIE * scale * self._fame
        for at, row in enumerate(rows):
            scores[at, self._seen[row]] = -np.inf
        top = np.argpartition(-scores, length - 1, axis=1)[:, :length]
        order = np.argsort(-np.take_along_axis(scores, top, axis=1), axis=1, kind="stable")
        return np.take_along_axis(top, order, axis=1)

    @cached_property
    def _fame(self) -> Floats:
        """Popularity as a share of the most popular item's, (I,)."""
        popularity = self.known.popularity
        fame: Floats = popularity / max(popularity.max(), 1.0)
        return fame

    @cached_property
    def _seen(self) -> list[Ints]:
        world = self._period.world
        return [world.past(user).seen for user in self._period.requests.users.tolist()]


def best_setting(base: Base, field: Field, k: int) -> Setting:
    """Return the setting with a high NDCG@k: one thing after the other is set to the best choice.

    It begins with the middle ones and goes through all of them twice. Raises TooLargeError as the
    recommender does.
    """
    setting = {name: choices[len(choices) // 2] for name, choices in base.choices.items()}
    reached = dict[tuple[float, ...], float]()
    for name, choices in [*base.choices.items()] * ROUNDS:
        tried = [{**setting, name: choice} for choice in choices]
        for each in tried:
            key = tuple(each.values())
            if key not in reached:
                reached[key] = field.reached(base.fit(field.known, each), k)
        setting = max(tried, key=lambda each: reached[tuple(each.values())])
    return setting
