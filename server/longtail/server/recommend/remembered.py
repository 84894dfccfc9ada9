"""What a request refers to, as the catalogue holds it: a person's history, and item examples."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from longtail.server.catalogue.columns.columns import NO_ROW
from longtail.server.catalogue.state import CatalogueState
from longtail.server.recommend.person import HISTORY_LENGTH
from longtail.server.recommend.pool import NO_POSITION, Floats, Ints, Liked, Matrix
from longtail.server.recommend.request import ItemExample, VectorExample
from longtail.server.store.records import PastInteraction
from numpy.typing import NDArray


@dataclass(frozen=True)
class Past:
    """m items of a history, the latest first, each once with its latest value, which is not 0.

    `rows` (m,), `values` (m,), unit `vectors` (m, d).
    """

    ids: list[str]
    rows: Ints
    values: Floats
    vectors: Matrix

    @property
    def likes(self) -> NDArray[np.intp]:
        """The positions of what was liked."""
        return np.flatnonzero(self.values > 0)


@dataclass(frozen=True)
class ItemExamples:
    """Item examples that the catalogue holds, m of them, and the ids of those that it does not.

    `rows` (m,), unit `vectors` (m, d).
    """

    examples: list[ItemExample]
    rows: Ints
    vectors: Matrix
    missing: tuple[str, ...]

    @property
    def wanted(self) -> NDArray[np.intp]:
        """The positions of those to be near to."""
        return np.flatnonzero(np.array([example.weight for example in self.examples]) > 0)


def past_of(state: CatalogueState, revision: int, history: Sequence[PastInteraction]) -> Past:
    """Return the latest HISTORY_LENGTH items of a history, given from the latest on."""
    latest: dict[str, float] = {}
    for past in history:
        if past.value:
            latest.setdefault(past.item_id, past.value)
    ids = list(latest)
    rows = state.columns.rows_at(ids, revision)
    held = np.flatnonzero(rows != NO_ROW)[:HISTORY_LENGTH]
    rows = rows[held]
    values = np.fromiter(latest.values(), np.float64, len(latest))[held]
    return Past([ids[at] for at in held.tolist()], rows, values, state.index.vectors(rows))


def examples_of(
    state: CatalogueState, revision: int, examples: Sequence[ItemExample]
) -> ItemExamples:
    """Return item examples as the catalogue holds them at a revision."""
    rows = state.columns.rows_at((example.item_id for example in examples), revision)
    found = [example for example, row in zip(examples, rows, strict=True) if row != NO_ROW]
    missing = (ex.item_id for ex, row in zip(examples, rows, strict=True) if row == NO_ROW)
    rows = rows[rows != NO_ROW]
    vectors = state.index.vectors(rows)
    return ItemExamples(found, rows, vectors, tuple(dict.fromkeys(missing)))


def liked_of(vector_examples: Sequence[VectorExample], items: ItemExamples, past: Past) -> Liked:
    """Return all that was liked: of the examples those to be near to, then of the history."""
    given = [example for example in vector_examples if example.weight > 0]
    wanted, likes = items.wanted, past.likes
    examples = [items.examples[at] for at in wanted.tolist()]
    vectors = np.array([example.vector for example in given], np.float32)
    return Liked(
        item_ids=(
            *("" for _ in given),
            *(example.item_id for example in examples),
            *(past.ids[at] for at in likes.tolist()),
        ),
        rows=np.concatenate((np.full(len(given), NO_ROW), items.rows[wanted], past.rows[likes])),
        positions=(
            *(example.position for example in given),
            *(example.position for example in examples),
            *(NO_POSITION for _ in likes),
        ),
        vectors=np.concatenate(
            (
                vectors.reshape(len(given), items.vectors.shape[1]),
                items.vectors[wanted],
                past.vectors[likes],
            )
        ),
    )
