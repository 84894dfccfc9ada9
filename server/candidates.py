"""What a list can be chosen from: items near to an interest, or popular ones that are unlike."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from server.columns.columns import NO_ROW
from server.ranking.diversity import pick_diverse
from server.ranking.interest import Interest, Weighted
from server.ranking.popularity import Bucket, PopularityScale
from server.ranking.relevance import RelevanceModel
from server.state import CatalogueState, Sight
from server.store.records import PastInteraction

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
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

    `mass` (n,): their popularity, to be placed on `scale`. `similarity` (n, 3): the parts of
    query, examples and history in the cosine to the interest. `relevance` (n,): P(relevant).
    `interest` and `model` turn any vector into a relevance on the same scale; there is no interest
    where nothing was known to go by.
    """

    ids: list[str]
    vectors: Matrix
    mass: Floats
    scale: PopularityScale
    similarity: Floats
    relevance: Floats
    interest: Interest | None
    model: RelevanceModel

    @property
    def tail(self) -> NDArray[np.bool_]:
        """Which candidates (n,) belong to the long tail."""
        tail: NDArray[np.bool_] = self.scale.bucket(self.mass) == Bucket.TAIL
        return tail


@dataclass(frozen=True)
class Placed:
    """An item on the scale of a pool: similarity parts (3,), relevance and popularity."""

    parts: Floats
    relevance: float
    mass: float


class Candidates:
    """Draws `size` candidates for one request from what is in its sight."""

    def __init__(self, state: CatalogueState, sight: Sight, size: int) -> None:
        self._state = state
        self._sight = sight
        self._size = size

    def pool(self, interest: Interest | None, left_out: frozenset[str], page_size: int) -> Pool:
        """Return the candidates for an interest, or for none."""
        columns = self._state.columns
        scale = self._state.popularity.scale()
        if interest is None:
            rows = self._popular(scale, left_out, page_size)
        else:
            rows = self._near(interest, left_out)
        vectors = self._state.index.vectors(rows)
        mass = columns.mass(rows)
        if interest is None:
            similarity = np.zeros((len(rows), 3))
            scores = np.log1p(mass)
        else:
            similarity = vectors @ interest.parts.T
            scores = similarity.sum(axis=1)
        model = RelevanceModel.of_pool(scores) if len(rows) else RelevanceModel(0.0, 0.0)
        return Pool(
            [columns.ids[row] for row in rows],
            vectors,
            mass,
            scale,
            similarity,
            model.probability(scores),
            interest,
            model,
        )

    def place(self, pool: Pool, item_id: str) -> Placed | None:
        """Return where an item stands on the scale of `pool`.

        None when the catalogue does not hold it.
        """
        rows = self._rows([item_id])
        if not len(rows):
            return None
        mass = self._state.columns.mass(rows)
        if pool.interest is None:
            parts, score = np.zeros(3), np.log1p(mass)
        else:
            parts = self._state.index.vectors(rows)[0] @ pool.interest.parts.T
            score = parts.sum(keepdims=True)
        return Placed(parts, float(pool.model.probability(score)[0]), float(mass[0]))

    def resolve(
        self, examples: Sequence[ItemExample]
    ) -> tuple[tuple[Weighted, ...], tuple[str, ...]]:
        """Return the vectors of item examples, and the ids that the catalogue does not hold."""
        rows = self._state.columns.rows_at((ex.item_id for ex in examples), self._sight.revision)
        known = [ex for ex, row in zip(examples, rows, strict=True) if row != NO_ROW]
        absent = (ex.item_id for ex, row in zip(examples, rows, strict=True) if row == NO_ROW)
        vectors = self._state.index.vectors(rows[rows != NO_ROW])
        weighted = zip(vectors, known, strict=True)
        return (
            tuple(Weighted(vector, example.weight) for vector, example in weighted),
            tuple(dict.fromkeys(absent)),
        )

    def recall(self, history: Sequence[PastInteraction]) -> list[Weighted]:
        """Return the vectors of a history, latest first, each item once with its latest value."""
        valued = [past for past in history if past.value]
        rows = self._state.columns.rows_at((past.item_id for past in valued), self._sight.revision)
        latest: dict[int, float] = {}
        for past, row in zip(valued, rows.tolist(), strict=True):
            if row != NO_ROW:
                latest.setdefault(row, past.value)
            if len(latest) == HISTORY_LENGTH:
                break
        vectors = self._state.index.vectors(np.array(list(latest), np.int64))
        return [
            Weighted(vector, value) for vector, value in zip(vectors, latest.values(), strict=True)
        ]

    def _rows(self, item_ids: Iterable[str]) -> Ints:
        rows = self._state.columns.rows_at(item_ids, self._sight.revision)
        known: Ints = rows[rows != NO_ROW]
        return known

    def _near(self, interest: Interest, left_out: frozenset[str]) -> Ints:
        # Each item that is left out may take a place among the nearest.
        absent = self._rows(left_out)
        rows, _ = self._state.index.search(interest.vector, self._size + len(absent), self._sight)
        return rows[~np.isin(rows, absent)][: self._size]

    def _popular(self, scale: PopularityScale, left_out: frozenset[str], page_size: int) -> Ints:
        kept = max(POPULAR_KEPT, page_size)
        offered = max(POPULAR_OFFERED, 3 * kept)
        allowed = self._sight.mask().copy()
        allowed[self._rows(left_out)] = False
        chosen: list[Ints] = []
        for bucket in Bucket:
            rows = self._state.popularity.most_popular(allowed, scale, bucket, offered)
            if len(rows):
                worth = np.log1p(self._state.columns.mass(rows))
                vectors = self._state.index.vectors(rows)
                chosen.append(rows[pick_diverse(vectors, worth, kept, POPULAR_TRADE_OFF)])
        return np.concatenate(chosen) if chosen else np.empty(0, np.int64)
