"""Whether the item of each row may be recommended and what it loses: as written, and as decided.

Where a decision counts for a time, the moment of its end becomes a bound of when the item is
offered, so that what counts at a moment is found by comparing two arrays with it.
"""

from collections.abc import Sequence

import numpy as np
from longtail.server.catalogue.columns.growing import GrowingArray
from longtail.server.store.records import (
    NO_TERM,
    DecisionKind,
    ItemChange,
    Ruling,
    Rulings,
    State,
)
from numpy.typing import NDArray

# Bounds of a window of availability that are not set.
ALWAYS_WAS, FOR_EVER = np.iinfo(np.int64).min, np.iinfo(np.int64).max


class AvailabilityColumns:
    """State, window of availability and penalty by row. Times are microseconds.

    Decisions are known by item, whether that has a row or not.
    """

    def __init__(self) -> None:
        self._rulings: dict[str, Rulings] = {}
        # As each item was written. `_content`: the revision since which its content is what it is.
        self._state = GrowingArray.empty(np.int8)
        self._from = GrowingArray.empty(np.int64)
        self._until = GrowingArray.empty(np.int64)
        self._written_penalty = GrowingArray.empty(np.float64)
        self._content = GrowingArray.empty(np.int64)
        # What counts: from when until when the item is offered, and its penalty before `_term` and
        # from then on.
        self._opens = GrowingArray.empty(np.int64)
        self._closes = GrowingArray.empty(np.int64)
        self._term = GrowingArray.empty(np.int64)
        self._first_penalty = GrowingArray.empty(np.float64)
        self._penalty = GrowingArray.empty(np.float64)
        self._has_terms = False

    def append(self, changes: Sequence[ItemChange]) -> None:
        """Append a row for each change."""
        opens = [_or(change.available_from, ALWAYS_WAS) for change in changes]
        closes = [_or(change.available_until, FOR_EVER) for change in changes]
        penalties = [change.penalty for change in changes]
        first = self._state.count
        self._state.append([change.state for change in changes])
        self._from.append(opens)
        self._until.append(closes)
        self._written_penalty.append(penalties)
        self._content.append([change.content_revision for change in changes])
        self._opens.append(
            [
                moment if change.state == State.ACTIVE else FOR_EVER
                for moment, change in zip(opens, changes, strict=True)
            ]
        )
        self._closes.append(closes)
        self._term.append([NO_TERM] * len(changes))
        self._first_penalty.append(penalties)
        self._penalty.append(penalties)
        if self._rulings:
            for row, change in enumerate(changes, first):
                if change.id in self._rulings:
                    self._apply(row, self._rulings[change.id])

    def rule(self, item_id: str, row: int | None, rulings: Rulings) -> None:
        """Set what was decided about an item whose newest version is in `row`."""
        self._rulings[item_id] = rulings
        if row is not None:
            self._apply(row, rulings)

    def ruling(self, item_id: str, now_us: int) -> Ruling | None:
        """Return the decision that counts for an item at a moment; None where there is none."""
        rulings = self._rulings.get(item_id)
        return None if rulings is None else rulings.at(now_us)

    def open(self, rows: slice | NDArray[np.int64], now_us: int) -> NDArray[np.bool_]:
        """Return which of `rows` (n,) are active, and available at a moment, (n,)."""
        mask: NDArray[np.bool_] = self._opens.values[rows] <= now_us
        mask &= self._closes.values[rows] > now_us
        return mask

    def penalty(self, rows: NDArray[np.int64], now_us: int) -> NDArray[np.float64]:
        """Return the share of its relevance that the item of each of `rows` (n,) loses, (n,)."""
        penalty: NDArray[np.float64] = self._penalty.values[rows]
        if self._has_terms:
            before = self._term.values[rows] > now_us
            return np.where(before, self._first_penalty.values[rows], penalty)
        return penalty

    def state_of(self, item_id: str, row: int, now_us: int) -> State:
        """Return the state that counts for an item in a row at a moment."""
        return self._judged(row, self.ruling(item_id, now_us))[0]

    def is_available(self, row: int, now_us: int) -> bool:
        """Return whether the item in a row is available at a moment, whatever its state."""
        return bool(self._from.values[row] <= now_us < self._until.values[row])

    def take(self, rows: NDArray[np.int64]) -> "AvailabilityColumns":
        """Return new columns of `rows` (n,), NO_ROW for a hidden one."""
        taken = AvailabilityColumns()
        taken._rulings = dict(self._rulings)
        taken._state = self._state.take(rows, State.HIDDEN)
        taken._from = self._from.take(rows, ALWAYS_WAS)
        taken._until = self._until.take(rows, FOR_EVER)
        taken._written_penalty = self._written_penalty.take(rows, 0)
        taken._content = self._content.take(rows, 0)
        taken._opens = self._opens.take(rows, FOR_EVER)
        taken._closes = self._closes.take(rows, FOR_EVER)
        taken._term = self._term.take(rows, NO_TERM)
        taken._first_penalty = self._first_penalty.take(rows, 0)
        taken._penalty = self._penalty.take(rows, 0)
        taken._has_terms = self._has_terms
        return taken

    def _apply(self, row: int, rulings: Rulings) -> None:
        """Let decisions count for the item in a row."""
        opens, closes = int(self._from.values[row]), int(self._until.values[row])
        state, penalty = self._judged(row, rulings.standing)
        first_state, first_penalty, term = state, penalty, rulings.term
        if rulings.temporary is not None:
            first_state, first_penalty = self._judged(row, rulings.temporary)
        match first_state == State.ACTIVE, state == State.ACTIVE:
            case True, False:
                closes = min(closes, term)
            case False, True:
                opens = max(opens, term)
            case False, False:
                opens = FOR_EVER
        # Whoever reads between these sees the item as before, as it is to be, or not at all.
        self._closes.values[row] = closes
        self._opens.values[row] = opens
        self._first_penalty.values[row] = first_penalty
        self._term.values[row] = term
        self._penalty.values[row] = penalty
        self._has_terms |= term != NO_TERM

    def _judged(self, row: int, ruling: Ruling | None) -> tuple[State, float]:
        """Return the state and the penalty of the item in a row under a decision."""
        state, penalty = State(int(self._state.values[row])), self._written_penalty.values[row]
        if ruling is None:
            return state, float(penalty)
        match ruling.kind:
            case DecisionKind.HIDE | DecisionKind.BLOCK:
                return State.HIDDEN, float(penalty)
            case DecisionKind.SUBMIT:
                return State.IN_REVIEW, float(penalty)
            case DecisionKind.PENALISE:
                penalty = ruling.penalty
        # What is written anew has not been seen by whoever released it.
        if state is State.IN_REVIEW and ruling.revision > self._content.values[row]:
            state = State.ACTIVE
        return state, float(penalty)


def _or(value: int | None, default: int) -> int:
    return default if value is None else value
