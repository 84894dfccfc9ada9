"""What a person's opinions amount to in the catalogue, made once for many requests."""

from weakref import ref

import numpy as np
from longtail.server.catalogue.columns.columns import NO_ROW
from longtail.server.catalogue.made import History, Kept
from longtail.server.catalogue.people import Person
from longtail.server.catalogue.spaces.space import Space
from longtail.server.catalogue.state import CatalogueState
from longtail.server.ranking.interest import Weighted, past_directions, past_interests
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Items of a history that count, and the latest of them that shape interests: older ones are left
# without weight.
HISTORY_LENGTH, INTEREST_LENGTH = 100, 50


_NO_ROWS = np.empty(0, np.int64)
NOTHING = History([], _NO_ROWS, _NO_ROWS, _NO_ROWS, np.empty(0), ())


def history_of(
    person: Person, state: CatalogueState, revision: int, adapted: Space | None
) -> History:
    """Return the history of a person in the catalogue at a revision, kept with the person.

    `adapted`: the space of the state that a head computes, taken once for a request.
    """
    if not person.history:
        return NOTHING
    columns, as_of = state.columns, person.revision
    changed, kept = columns.changed, person.made.kept
    # What was changed after the revision must not be seen, whoever made the history.
    settled = changed <= revision
    beside = None if adapted is None else ref(adapted)
    if (
        settled
        and kept is not None
        and kept.era is columns.era
        and kept.changed == changed
        and kept.person == as_of
        and kept.adapted == beside
    ):
        person.made.use()
        return kept.history
    history = _made(person, state, revision, adapted)
    if settled:
        person.made.keep(Kept(columns.era, changed, as_of, beside, history))
    return history


def _made(person: Person, state: CatalogueState, revision: int, adapted: Space | None) -> History:
    past, values = _opinions(person)
    rows = state.columns.rows_at(past, revision)
    held = np.flatnonzero(rows != NO_ROW)[:HISTORY_LENGTH]
    rows, values = rows[held], values[held]
    likes = np.flatnonzero(values > 0)
    latest, worth = rows[:INTEREST_LENGTH], values[:INTEREST_LENGTH]
    blank = state.index.are_blank(latest)
    having = slice(None) if blank is None else ~blank
    beside = None
    if adapted is not None:
        beside = past_directions(Weighted(adapted.vectors(latest[having]), worth[having]))
    return History(
        item_ids=[past[at] for at in held[likes].tolist()],
        rows=rows[likes],
        disliked=rows[values < 0],
        latest=latest,
        worth=worth,
        interests=past_interests(Weighted(state.index.vectors(latest[having]), worth[having])),
        adapted=beside,
    )


def _opinions(person: Person) -> tuple[list[str], Floats]:
    """Return what a person liked or disliked, the latest first, each once with its latest value."""
    latest: dict[str, float] = {}
    for past in person.history:
        if past.value:
            latest.setdefault(past.item_id, past.value)
    return list(latest), np.fromiter(latest.values(), np.float64, len(latest))
