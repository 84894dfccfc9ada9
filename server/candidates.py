"""What a list can be chosen from: items near to an interest, or popular ones that are unlike."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from server.popularity_table import RankedItems
from server.ranking.diversity import pick_diverse
from server.ranking.interest import Interest, Weighted
from server.ranking.popularity import Bucket
from server.ranking.relevance import RelevanceModel
from server.store.records import PastInteraction
from server.view import CatalogueView

Floats = NDArray[np.float64]
Matrix = NDArray[np.float32]

# Interactions that shape a person's interest; the half-life leaves older ones without weight.
HISTORY_LENGTH = 50
# Where nothing is known to go by: popular items offered per bucket, how many of them are kept for
# being unlike each other, and how much popularity counts against unlikeness.
POPULAR_OFFERED, POPULAR_KEPT, POPULAR_TRADE_OFF = 60, 20, 0.5


@dataclass(frozen=True)
class ItemExample:
    """An item of the catalogue as an example."""

    item_id: str
    weight: float


@dataclass(frozen=True)
class Pool:
    """The candidates of one request, n of them, and what is known about each.

    `similarity` (n, 3): the parts of query, examples and history in the cosine to the interest.
    `relevance` (n,): P(relevant). `rows` (n,): their rows in `ranked`. `interest` and `model`
    turn any vector into a relevance on the same scale; there is no interest where nothing was
    known to go by.
    """

    ids: list[str]
    vectors: Matrix
    rows: NDArray[np.int64]
    ranked: RankedItems
    similarity: Floats
    relevance: Floats
    interest: Interest | None
    model: RelevanceModel

    @property
    def tail(self) -> NDArray[np.bool_]:
        """Which candidates (n,) belong to the long tail."""
        tail: NDArray[np.bool_] = self.ranked.popularity.bucket[self.rows] == Bucket.TAIL
        return tail


class Candidates:
    """Draws `size` candidates from a catalogue view. The caller holds `view.reading()`."""

    def __init__(self, view: CatalogueView, size: int) -> None:
        self._view = view
        self._size = size

    def pool(self, interest: Interest | None, left_out: frozenset[str], page_size: int) -> Pool:
        """Return the candidates for an interest, or for none."""
        ranked = self._view.popularity.ranked()
        if interest is None:
            ids = self._popular(ranked, left_out, page_size)
        else:
            ids = self._near(interest, left_out)
        vectors = self._view.index.vectors([self._view.label_of[item_id] for item_id in ids])
        rows = ranked.rows(ids)
        if interest is None:
            similarity = np.zeros((len(ids), 3))
            scores = _popularity_score(ranked, rows)
        else:
            similarity = vectors @ interest.parts.T
            scores = similarity.sum(axis=1)
        model = RelevanceModel.of_pool(scores) if ids else RelevanceModel(0.0, 0.0)
        return Pool(
            ids, vectors, rows, ranked, similarity, model.probability(scores), interest, model
        )

    def place(self, pool: Pool, item_id: str) -> tuple[Floats, float] | None:
        """Return an item's similarity parts (3,) and relevance on the scale of `pool`.

        None when the catalogue does not hold it.
        """
        label = self._view.label_of.get(item_id)
        if label is None:
            return None
        if pool.interest is None:
            parts = np.zeros(3)
            score = _popularity_score(pool.ranked, pool.ranked.rows([item_id]))
        else:
            parts = self._view.index.vectors([label])[0] @ pool.interest.parts.T
            score = parts.sum(keepdims=True)
        return parts, float(pool.model.probability(score)[0])

    def resolve(
        self, examples: Sequence[ItemExample]
    ) -> tuple[tuple[Weighted, ...], tuple[str, ...]]:
        """Return the vectors of item examples, and the ids that the catalogue does not hold."""
        label_of = self._view.label_of
        known = [example for example in examples if example.item_id in label_of]
        vectors = self._view.index.vectors([label_of[example.item_id] for example in known])
        missing = tuple(dict.fromkeys(ex.item_id for ex in examples if ex.item_id not in label_of))
        weighted = zip(vectors, known, strict=True)
        return tuple(Weighted(vector, example.weight) for vector, example in weighted), missing

    def recall(self, history: Sequence[PastInteraction]) -> list[Weighted]:
        """Return the vectors of a history, latest first, each item once with its latest value."""
        latest: dict[str, float] = {}
        for past in history:
            if past.item_id in self._view.label_of and past.value:
                latest.setdefault(past.item_id, past.value)
            if len(latest) == HISTORY_LENGTH:
                break
        vectors = self._view.index.vectors([self._view.label_of[item_id] for item_id in latest])
        return [
            Weighted(vector, value) for vector, value in zip(vectors, latest.values(), strict=True)
        ]

    def _near(self, interest: Interest, left_out: frozenset[str]) -> list[str]:
        # Each item that is left out may take a place among the nearest.
        absent = sum(item_id in self._view.label_of for item_id in left_out)
        labels, _ = self._view.index.search(interest.vector, self._size + absent)
        ids = (self._view.id_of[label] for label in labels)
        return [item_id for item_id in ids if item_id not in left_out][: self._size]

    def _popular(self, ranked: RankedItems, left_out: frozenset[str], page_size: int) -> list[str]:
        kept = max(POPULAR_KEPT, page_size)
        offered = max(POPULAR_OFFERED, 3 * kept)
        allowed = np.ones(len(ranked.ids), np.bool_)
        allowed[ranked.rows([item_id for item_id in left_out if item_id in ranked.row_of])] = False
        by_popularity = ranked.descending[allowed[ranked.descending]]
        buckets = ranked.popularity.bucket[by_popularity]
        ids: list[str] = []
        for bucket in Bucket:
            rows = by_popularity[buckets == bucket][:offered]
            if not len(rows):
                continue
            names = [ranked.ids[row] for row in rows]
            vectors = self._view.index.vectors([self._view.label_of[name] for name in names])
            worth = _popularity_score(ranked, rows)
            ids += [names[at] for at in pick_diverse(vectors, worth, kept, POPULAR_TRADE_OFF)]
        return ids


def _popularity_score(ranked: RankedItems, rows: NDArray[np.int64]) -> Floats:
    # A hundred interactions are not a hundred times as good as one.
    score: Floats = np.log1p(ranked.popularity.mass[rows])
    return score
