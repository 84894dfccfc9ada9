"""Whether the item of each row may be recommended and what it loses: as written, and as decided.

Where a decision counts for a time, the moment of its end becomes a bound of when the item is
offered, so that what counts at a moment is found by comparing two arrays with it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from longtail.server.catalogue.array_file import Arrays, Named
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

    @classmethod
    def of(cls, arrays: Arrays) -> "AvailabilityColumns":
        """Return what `kept` has written, without what was decided."""
        columns = cls()
        columns._state = arrays["state"]
        columns._from, columns._until = arrays["from"], arrays["until"]
        columns._written_penalty, columns._content = arrays["written"], arrays["content"]
        columns._opens, columns._closes = arrays["opens"], arrays["closes"]
        columns._term = arrays["term"]
        columns._first_penalty, columns._penalty = arrays["first"], arrays["penalty"]
        return columns

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

    def rule(self, item_id: str, row: int, rulings: Rulings) -> None:
        """Set what was decided about an item whose newest version is in `row`, below 0 for none."""
        self._rulings[item_id] = rulings
        if row >= 0:
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

    def kept(self, rows: NDArray[np.int64]) -> Named:
        """Yield the arrays of `rows` (n,) as they were written, NO_ROW for a hidden one."""
        state = self._state.take(rows, State.HIDDEN).values
        opens = self._from.take(rows, ALWAYS_WAS).values
        closes = [self._until.take(rows, FOR_EVER).values]
        penalty = [self._written_penalty.take(rows, 0).values]
        yield "state", [state]
        yield "from", [opens]
        yield "until", closes
        yield "written", penalty
        yield "content", [self._content.take(rows, 0).values]
        yield "opens", [np.where(state == State.ACTIVE, opens, FOR_EVER)]
        yield "closes", closes
        yield "term", [np.full(len(rows), NO_TERM, np.int64)]
        yield "first", penalty
        yield "penalty", penalty

    def take(self, other: "AvailabilityColumns", rows: NDArray[np.int64]) -> None:
        """Take what was decided, and the `rows` (n,) of other columns, NO_ROW for a hidden one.

        The first of them are there already, but for what was decided.
        """
        known = self._state.count
        fills: Sequence[tuple[GrowingArray[Any], GrowingArray[Any], float]] = (
            (self._closes, other._closes, FOR_EVER),
            (self._opens, other._opens, FOR_EVER),
            (self._first_penalty, other._first_penalty, 0),
            (self._term, other._term, NO_TERM),
            (self._penalty, other._penalty, 0),
        )
        for own, theirs, fill in fills:
            own.take_in(theirs.take(rows[:known], fill).values)
            own.append(theirs.values[rows[known:]])
        self._from.append(other._from.values[rows[known:]])
        self._until.append(other._until.values[rows[known:]])
        self._written_penalty.append(other._written_penalty.values[rows[known:]])
        self._content.append(other._content.values[rows[known:]])
        self._state.append(other._state.values[rows[known:]])
        self._rulings = dict(other._rulings)
        self._has_terms = other._has_terms

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
