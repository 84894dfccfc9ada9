"""What a list can be chosen from: what text and behaviour lead to, or what is popular, unlike."""

from collections.abc import Iterable, Sequence

import numpy as np
from longtail.server.catalogue.columns.columns import NO_ROW
from longtail.server.ranking.diversity import pick_diverse
from longtail.server.ranking.interest import Interest
from longtail.server.ranking.popularity import Bucket
from longtail.server.ranking.profile import Context
from longtail.server.ranking.retrieval import BEHAVIOUR_SHARE, merged
from longtail.server.recommend.context import Standpoint
from longtail.server.recommend.pool import Ints
from longtail.server.recommend.request import FrozenCandidates, PinRule, Wish
from numpy.typing import NDArray

# Where nothing is known to go by: popular items offered per bucket, how many of them are kept for
# being unlike each other, and how much popularity counts against unlikeness.
POPULAR_OFFERED, POPULAR_KEPT, POPULAR_TRADE_OFF = 60, 20, 0.5
# The search is widened so many times over when what was left out took too many places.
WIDER = 4


class Candidates:
    """Draws the `size` candidates of a request, seen from its `standpoint`.

    Raises FilterTypeError when the request's filter does not fit the catalogue.
    """

    def __init__(self, standpoint: Standpoint, size: int) -> None:
        self._from = standpoint
        self._state = standpoint.state
        self._size = size

    def rows(self, wish: Wish) -> Ints:
        """Return the rows of the candidates: of a later page, what is left of the first page's."""
        if wish.frozen is not None:
            return self._left(wish.frozen)
        if not self._from.interests:
            rows = self._popular(wish.page_size)
        else:
            # A query says what is wanted: what others liked besides is not near to it.
            by_behaviour = self._from.context == Context.HISTORY
            rows = merged(
                self._size,
                self._behaviour() if by_behaviour else np.empty(0, np.int64),
                [self._near(interest) for interest in self._from.interests],
                [interest.share for interest in self._from.interests],
            )
        return self._with_pinned(rows, wish.pins) if wish.pins else rows

    def unknown(self, pins: Sequence[PinRule]) -> tuple[str, ...]:
        """Return the ids of pins that the catalogue does not hold."""
        ids = [pin.item_id for pin in pins]
        rows = self._rows(ids)
        return tuple(item_id for item_id, row in zip(ids, rows, strict=True) if row == NO_ROW)

    def _left(self, frozen: FrozenCandidates) -> Ints:
        return self._offered(self._rows(frozen.item_ids))

    def _with_pinned(self, rows: Ints, pins: Sequence[PinRule]) -> Ints:
        pinned = self._offered(self._rows(pin.item_id for pin in pins))
        return np.concatenate((rows, pinned[~np.isin(pinned, rows)]))

    def _near(self, interest: Interest) -> Ints:
        """Return the nearest rows, the nearest first."""
        left_out = len(self._from.left_out)
        # Each item that is left out may take a place among the nearest, but few do.
        wanted = self._size + min(left_out, self._size)
        while True:
            found, _ = self._state.index.search(interest.vector, wanted, self._from.scope)
            rows = self._not_left_out(found)
            is_all = len(found) < wanted or wanted >= self._size + left_out
            if len(rows) >= self._size or is_all:
                return rows[: self._size]
            wanted = min(WIDER * wanted, self._size + left_out)

    def _behaviour(self) -> Ints:
        """Return the rows that likes lead to most strongly, the strongest first."""
        scores = self._from.scores
        room = int(self._size * BEHAVIOUR_SHARE)
        numbers = np.flatnonzero(scores)
        order = np.argsort(-scores[numbers], kind="stable")
        found: list[Ints] = []
        missing = room
        # Few of the best may be offered to this request.
        for start in range(0, len(order), 2 * room):
            block = numbers[order[start : start + 2 * room]]
            rows = self._offered(self._rows(self._from.behaviour_ids(block)))[:missing]
            found.append(rows)
            missing -= len(rows)
            if not missing:
                break
        return np.concatenate(found) if found else np.empty(0, np.int64)

    def _popular(self, page_size: int) -> Ints:
        kept = max(POPULAR_KEPT, page_size)
        offered = max(POPULAR_OFFERED, 3 * kept)
        scale = self._from.scale
        allowed = self._from.scope.mask().copy()
        absent = self._rows(self._from.left_out)
        allowed[absent[absent != NO_ROW]] = False
        chosen: list[Ints] = []
        for bucket in Bucket:
            rows = self._state.popularity.most_popular(allowed, scale, bucket, offered)
            if len(rows):
                worth = np.log1p(self._state.columns.mass(rows))
                vectors = self._state.index.vectors(rows)
                chosen.append(rows[pick_diverse(vectors, worth, kept, POPULAR_TRADE_OFF)])
        return np.concatenate(chosen) if chosen else np.empty(0, np.int64)

    def _rows(self, item_ids: Iterable[str]) -> Ints:
        return self._state.columns.rows_at(item_ids, self._from.scope.revision)

    def _offered(self, rows: Ints) -> Ints:
        """Return those of `rows` (n,), NO_ROW among them, that may be recommended."""
        rows = rows[rows != NO_ROW]
        return self._not_left_out(rows[self._from.scope.passes(rows)])

    def _not_left_out(self, rows: Ints) -> Ints:
        ids, left_out = self._state.columns.ids, self._from.left_out
        kept: NDArray[np.bool_] = np.fromiter(
            (ids[row] not in left_out for row in rows.tolist()), np.bool_, len(rows)
        )
        wanted: Ints = rows[kept]
        return wanted
