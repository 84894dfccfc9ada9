"""Rows with one vector, in the graph and after it."""

from pathlib import Path

import numpy as np
from longtail.server.catalogue.array_file import read_arrays
from longtail.server.catalogue.index.copies import FILE, Copies

from tests.unit.server.index_material import generation_of, vectors


def test_copies_are_found_in_the_graph_and_after_it(tmp_path: Path) -> None:
    some = vectors(5)
    generation = generation_of(tmp_path, some[[0, 1, 0, 2, 0]])
    copies = Copies(read_arrays(generation.folder / FILE), generation.vectors.mapped())
    for late in (some[[0, 3]], some[[3, 3]], some[[1, 4]]):
        copies.append(late)
    rows = np.arange(11)
    assert copies.first(rows).tolist() == [0, 1, 0, 3, 0, 0, 6, 6, 6, 1, 10]
    assert np.flatnonzero(~copies.are_shared(rows)).tolist() == [3, 10]
    found, owners = copies.of(np.array([7, 3, 4]))
    assert found.tolist() == [6, 7, 8, 3, 0, 2, 4, 5]
    assert owners.tolist() == [0, 0, 0, 1, 2, 2, 2, 2]


def test_one_row_stands_for_each_vector() -> None:
    copies = Copies.none(vectors(0).shape[1])
    copies.append(vectors(3)[[0, 1, 0, 2, 1, 1]])
    rows = np.array([5, 3, 2, 4, 0])
    assert rows[copies.once(rows)].tolist() == [3, 4, 0]
    alone = np.array([3, 1, 2])
    assert alone[copies.once(alone)].tolist() == [3, 1, 2]
    assert copies.once(np.empty(0, np.int64)).tolist() == []
