"""Rows without a vector: they are never found, are copies of nothing, and are in generations."""

from pathlib import Path

import numpy as np
import pytest
from longtail.server.catalogue.index.build import build
from longtail.server.catalogue.index.generation import NO_VECTOR, latest_generation
from longtail.server.catalogue.index.vector_index import VectorIndex

from tests.unit.server.index_material import (
    PARAMETERS,
    everything,
    ignore,
    source,
    target,
    vectors,
)

BLANK = np.arange(3, 60, 4)


def rows_with_blanks() -> np.ndarray:
    rows = vectors(60)
    rows[BLANK] = 0
    return rows


def check(index: VectorIndex, rows: np.ndarray) -> None:
    having = np.flatnonzero(rows.any(axis=1))
    blank = index.are_blank(np.arange(len(rows)))
    assert blank is not None
    assert np.flatnonzero(~blank).tolist() == having.tolist()
    assert not index.copies.are_shared(np.flatnonzero(blank)).any()
    for query in vectors(4, seed=2):
        order = having[np.argsort(-(rows[having] @ query))]
        for k in (3, 500):
            for once in (False, True):
                found, _ = index.search(query, k, everything(len(rows)), once=once)
                assert found.tolist() == order[:k].tolist()
        assert index.scan(query, 500, everything(len(rows)))[0].tolist() == order.tolist()


def test_beside_the_graph_they_are_not_found() -> None:
    index, rows = VectorIndex(PARAMETERS), rows_with_blanks()
    assert index.are_blank(np.arange(3)) is None
    for start in range(0, 60, 7):
        index.append(rows[start : start + 7])
    check(index, rows)
    assert index.vectors(np.arange(60)) == pytest.approx(rows)


def test_a_generation_has_them_and_the_graph_has_not(tmp_path: Path) -> None:
    rows, folder = rows_with_blanks(), target(tmp_path)
    first = build(folder, source(rows[:40]), None, ignore)
    assert (first.table["representative"][BLANK[BLANK < 40]] == NO_VECTOR).all()
    check(VectorIndex.of(first), rows[:40])
    second = build(folder, source(rows), first, ignore)
    assert second.built is not None
    assert second.built.live_count == 60 - len(BLANK)
    check(VectorIndex.of(second), rows)
    read = latest_generation(target(tmp_path), revision=99)
    assert read is not None
    check(VectorIndex.of(read), rows)
    index, more = VectorIndex.of(read), vectors(20, seed=5)
    more[::3] = 0
    index.append(more)
    check(index, np.concatenate((rows, more)))


def test_where_nothing_has_a_vector_nothing_is_found(tmp_path: Path) -> None:
    rows = np.zeros((30, 16), np.float32)
    generation = build(target(tmp_path), source(rows), None, ignore)
    index = VectorIndex.of(generation)
    index.append(rows[:5])
    found, _ = index.search(vectors(1)[0], 10, everything(35))
    assert len(found) == 0
