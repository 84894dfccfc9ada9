"""How popular each item is, kept up to date change by change and ranked when it is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from server.ranking.popularity import Bucket, Popularity, rank_popularity

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class BucketShare:
    """Items of a bucket, and their share of all popularity."""

    items: int
    share: float


@dataclass(frozen=True)
class RankedItems:
    """The ranked catalogue: row r of `popularity` belongs to the item `ids[r]`.

    `descending` (n,): the rows from the most to the least popular.
    """

    ids: tuple[str, ...]
    row_of: dict[str, int]
    popularity: Popularity
    descending: Ints

    def rows(self, ids: Sequence[str]) -> Ints:
        """Return the rows (n,) of `ids` (n,)."""
        return np.fromiter((self.row_of[item_id] for item_id in ids), np.int64, len(ids))

    def shares(self) -> dict[Bucket, BucketShare]:
        """Count the items of each bucket and their popularity."""
        total = float(self.popularity.mass.sum()) or 1.0
        members = {bucket: self.popularity.bucket == bucket for bucket in Bucket}
        return {
            bucket: BucketShare(int(of.sum()), float(self.popularity.mass[of].sum()) / total)
            for bucket, of in members.items()
        }


class PopularityTable:
    """Interactions and priors by item id. Changes need the table alone."""

    def __init__(self) -> None:
        self._interactions: dict[str, int] = {}
        self._priors: dict[str, float] = {}
        self._ranked: RankedItems | None = None

    def count(self, item_id: str, interactions: int) -> None:
        """Take over the interactions of an item, in the catalogue or not."""
        self._interactions[item_id] = interactions
        self._ranked = None

    def add(self, item_id: str, prior: float) -> None:
        """Take an item into the catalogue."""
        self._priors[item_id] = prior
        self._ranked = None

    def remove(self, item_id: str) -> None:
        """Take an item out of the catalogue; its interactions stay."""
        del self._priors[item_id]
        self._ranked = None

    def ranked(self) -> RankedItems:
        """Return the catalogue ranked as it is now. Two readers may rank it twice, to no harm."""
        ranked = self._ranked
        if ranked is None:
            ids = tuple(self._priors)
            mass = np.fromiter(
                (
                    prior + self._interactions.get(item_id, 0)
                    for item_id, prior in self._priors.items()
                ),
                np.float64,
                len(ids),
            )
            row_of = {item_id: row for row, item_id in enumerate(ids)}
            descending = np.argsort(-mass, kind="stable")
            ranked = RankedItems(ids, row_of, rank_popularity(mass), descending)
            self._ranked = ranked
        return ranked
