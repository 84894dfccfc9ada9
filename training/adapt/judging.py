"""How good vectors are at queries in words that nothing was learned from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from longtail.server.ranking.places import discounts
from longtail.worker.tokenizer import Role
from longtail.worker.vectors import Vectors
from numpy.typing import NDArray

from evaluation.query_source import Queries
from training.adapt.encoder import AdaptedEncoder

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

PLACES = 10


@dataclass(frozen=True)
class Judgement:
    """Queries and the items among which what is relevant to them is looked for.

    `texts` (Q,) of the queries, `items` (I,) of the items. `queries` (r,) and `relevant` (r,) are
    positions in these, `grades` (r,).
    """

    texts: Sequence[str]
    items: Sequence[str]
    queries: Ints
    relevant: Ints
    grades: Floats

    def scores(self, encoder: AdaptedEncoder) -> Floats:
        """Return the graded NDCG of the first ten items by cosine, of each query, (Q,)."""
        items = encoder.encode(self.items, Role.ITEM)
        return self.scores_of(encoder.encode(self.texts, Role.QUERY), items)

    def scores_of(self, queries: Vectors, items: Vectors) -> Floats:
        """Return what `scores` does for vectors (Q, d) and (I, d)."""
        grades = np.zeros((len(self.texts), len(self.items)))
        grades[self.queries, self.relevant] = self.grades
        found = np.argsort(-(queries @ items.T), axis=1, kind="stable")[:, :PLACES]
        gained = np.take_along_axis(grades, found, axis=1)
        best = -np.sort(-grades, axis=1)[:, :PLACES]
        weights = discounts(gained.shape[1])
        scores: Floats = (gained @ weights) / (best @ weights)
        return scores


def judgement(
    queries: Queries, chosen: Ints, items: Sequence[str], others: int, random: np.random.Generator
) -> Judgement:
    """Return the judgement by the `chosen` queries over what is relevant to them, and `others`."""
    rows = np.flatnonzero(np.isin(queries.queries, chosen))
    relevant = np.unique(queries.items[rows])
    rest = np.setdiff1d(np.arange(len(items)), relevant)
    among = np.union1d(relevant, random.permutation(rest)[:others])
    return Judgement(
        [queries.texts[at] for at in chosen],
        [items[at] for at in among],
        np.searchsorted(chosen, queries.queries[rows]),
        np.searchsorted(among, queries.items[rows]),
        queries.grades[rows],
    )


def parts_of(queries: Queries, random: np.random.Generator) -> tuple[Ints, Ints, Ints]:
    """Return which queries are learned from, which say when to stop, and which judge, ascending."""
    order = random.permutation(len(queries.ids))
    tenth = max(1, len(order) // 10)
    return (
        np.sort(order[4 * tenth :]),
        np.sort(order[: 2 * tenth]),
        np.sort(order[2 * tenth : 4 * tenth]),
    )
