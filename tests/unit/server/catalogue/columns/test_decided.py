"""What counts of each row at a moment, as written and as decided."""

import itertools
from typing import Any

import numpy as np
import pytest
from longtail.server.catalogue.columns.columns import NO_ROW, Columns
from longtail.server.store.records import (
    DecisionKind,
    ItemChange,
    Ruling,
    Rulings,
    RulingsChange,
    State,
)

from tests.unit.server.catalogue.columns.carried import carried
from tests.unit.server.catalogue.columns.test_columns import change

TERM = 100
WRITTEN_PENALTY, DECIDED_PENALTY = 0.25, 0.5
# Before and after its content is written, which is at revision 10.
RULINGS = [None, *(Ruling(at, kind, DECIDED_PENALTY) for kind in DecisionKind for at in (5, 15))]


def expected(state: State, ruling: Ruling | None) -> tuple[State, float]:
    """Return what the contract says counts of an item that was written so at revision 10."""
    if ruling is None:
        return state, WRITTEN_PENALTY
    if ruling.kind in (DecisionKind.HIDE, DecisionKind.BLOCK):
        return State.HIDDEN, WRITTEN_PENALTY
    if ruling.kind is DecisionKind.SUBMIT:
        return State.IN_REVIEW, WRITTEN_PENALTY
    penalty = DECIDED_PENALTY if ruling.kind is DecisionKind.PENALISE else WRITTEN_PENALTY
    released = state is State.IN_REVIEW and ruling.revision > 10
    return State.ACTIVE if released else state, penalty


def written(item_id: str, state: State, window: tuple[int | None, int | None]) -> ItemChange:
    start, end = window
    fields: dict[str, Any] = {"available_from": start, "available_until": end}
    return change(item_id, 10, state=state, penalty=WRITTEN_PENALTY, content_revision=10, **fields)


@pytest.mark.parametrize("decided_first", [True, False])
@pytest.mark.parametrize("window", [(None, None), (50, 150), (None, 99), (101, None), (100, 101)])
def test_every_state_under_every_decision_at_every_moment(
    decided_first: bool, window: tuple[int | None, int | None]
) -> None:
    start, end = window
    for state, standing, temporary in itertools.product(State, RULINGS, RULINGS):
        columns = Columns()
        rulings = Rulings(standing, temporary, TERM) if temporary else Rulings(standing)
        if decided_first:
            columns.set_rulings(RulingsChange("a", rulings))
        columns.append([written("a", state, window)])
        if not decided_first:
            columns.set_rulings(RulingsChange("a", rulings))
        for moment in (0, 49, 50, 99, 100, 101, 149, 150):
            ruling = temporary if temporary and moment < TERM else standing
            counts, penalty = expected(state, ruling)
            available = (start is None or start <= moment) and (end is None or moment < end)
            offered = counts is State.ACTIVE and available
            rows = np.array([0])
            case = (state, standing, temporary, window, moment)
            assert columns.are_offered(rows, 10, moment).tolist() == [offered], case
            assert columns.offered(10, 1, moment).tolist() == [offered], case
            assert columns.penalty(rows, moment).tolist() == [penalty], case
            assert columns.state_of(0, moment) is counts, case
            assert columns.is_available(0, moment) == available, case
            assert columns.ruling_of("a", moment) == ruling, case


def test_a_decision_goes_where_the_item_goes() -> None:
    columns = Columns()
    columns.append([change("a", 1), change("b", 2)])
    hidden = Rulings(Ruling(3, DecisionKind.HIDE, 0.0))
    columns.set_rulings(RulingsChange("a", hidden))
    columns.set_rulings(RulingsChange("to come", hidden))
    assert columns.offered(3, columns.count, 0).tolist() == [False, True]

    columns.append([change("a", 4), change("to come", 5), change("a", 6, removed=True)])
    columns.append([change("a", 7)])
    rows = columns.rows_at(["a", "b", "to come"], 7)
    assert columns.are_offered(rows, 7, 0).tolist() == [False, True, False]

    taken = carried(columns, np.array([*rows.tolist(), NO_ROW]))
    assert taken.offered(7, 4, 0).tolist() == [False, True, False, False]
    assert taken.state_of(0, 0) is State.HIDDEN
    taken.set_rulings(RulingsChange("a", Rulings(Ruling(8, DecisionKind.APPROVE, 0.0))))
    assert taken.offered(8, 4, 0).tolist() == [True, True, False, False]
    # The columns that they were taken from know nothing of it.
    assert columns.are_offered(rows, 7, 0).tolist() == [False, True, False]


def test_a_penalty_with_a_term_is_that_of_its_item_alone() -> None:
    columns = Columns()
    columns.append([change("a", 1, penalty=0.125), change("b", 2, penalty=0.25)])
    penalised = Ruling(3, DecisionKind.PENALISE, 0.5)
    columns.set_rulings(RulingsChange("a", Rulings(None, penalised, TERM)))
    rows = np.array([1, 0])
    assert columns.penalty(rows, TERM - 1).tolist() == [0.25, 0.5]
    assert columns.penalty(rows, TERM).tolist() == [0.25, 0.125]
    taken = carried(columns, rows)
    assert taken.penalty(np.array([0, 1]), TERM - 1).tolist() == [0.25, 0.5]
