"""From one generation to the next: labels, removal, duplicates, stopping."""

from pathlib import Path

import numpy as np
import pytest
from longtail.server.catalogue.index.build import Stopped, build
from longtail.server.catalogue.index.generation import latest_generation
from longtail.server.catalogue.index.hnsw import HnswGraph
from longtail.server.catalogue.index.vector_index import VectorIndex

from tests.unit.server.index_material import (
    Seen,
    everything,
    generation_of,
    ignore,
    nearest,
    source,
    target,
    vectors,
)


def test_the_first_generation_holds_every_row(tmp_path: Path) -> None:
    rows = vectors(300)
    generation = generation_of(tmp_path, rows)
    assert generation.table["revision"].tolist() == list(range(1, 301))
    np.testing.assert_array_equal(generation.vectors.mapped(), rows)
    index = VectorIndex.of(generation)
    assert all(index.search(rows[row], 1, everything(300))[0] == [row] for row in range(300))


def test_a_new_version_gets_a_row_of_its_own_and_the_old_one_leaves_the_graph(
    tmp_path: Path,
) -> None:
    rows = vectors(101)
    first = generation_of(tmp_path, rows[:100])
    # Revision 5 was replaced by revision 101.
    current = np.array([*range(1, 5), *range(6, 102)])
    second = build(target(tmp_path), source(rows[current - 1], current), first, ignore)
    assert second.table["revision"].tolist() == list(range(1, 102))
    assert second.table["removed"].tolist() == [row == 4 for row in range(101)]
    graph = second.graph()
    assert graph.live_count == 100
    assert 4 not in nearest(graph, rows[4], 100)[0]
    assert nearest(graph, rows[100], 1)[0] == [100]


def test_a_row_that_was_removed_stays_removed(tmp_path: Path) -> None:
    rows = vectors(50)
    generation = generation_of(tmp_path, rows)
    for current in (np.arange(11, 51), np.arange(21, 51), np.arange(21, 51)):
        generation = build(target(tmp_path), source(rows[current - 1], current), generation, ignore)
    assert generation.graph().live_count == 30


def test_equal_vectors_stand_in_the_graph_once_and_are_all_found(tmp_path: Path) -> None:
    rows = np.concatenate([np.repeat(vectors(1), 3000, axis=0), vectors(1000, seed=3)])
    generation = generation_of(tmp_path, rows)
    assert generation.graph().live_count == 1001
    index = VectorIndex.of(generation)
    missed = [r for r in range(3000, 4000) if index.search(rows[r], 1, everything(4000))[0] != [r]]
    assert missed == []
    assert index.search(rows[0], 3000, everything(4000))[0].tolist() == list(range(3000))


def test_an_equal_vector_that_comes_later_joins_the_first(tmp_path: Path) -> None:
    rows = vectors(100)
    first = generation_of(tmp_path, rows)
    again = np.concatenate([rows, rows[7:8]])
    second = build(target(tmp_path), source(again), first, ignore)
    assert second.table["representative"][100] == 7
    index = VectorIndex.of(second)
    assert index.search(rows[7], 2, everything(101))[0].tolist() == [7, 100]


def test_a_twin_is_found_after_the_first_of_its_kind_has_gone(tmp_path: Path) -> None:
    rows = np.concatenate([vectors(100), vectors(1)])
    first = generation_of(tmp_path, rows)
    current = np.arange(2, 102)
    second = build(target(tmp_path), source(rows[1:], current), first, ignore)
    allowed = np.arange(101) > 0
    assert VectorIndex.of(second).search(rows[0], 1, Seen(allowed))[0].tolist() == [100]
    gone = np.arange(2, 101)
    third = build(target(tmp_path), source(rows[1:100], gone), second, ignore)
    assert third.graph().live_count == 99


def test_hashes_that_collide_do_not_join_different_vectors(tmp_path: Path) -> None:
    rows = vectors(20)
    first = generation_of(tmp_path, rows[:10])
    later = build(target(tmp_path / "b"), source(rows), None, ignore)
    first.table["key"][3] = later.table["key"][15]
    second = build(target(tmp_path), source(rows), first, ignore)
    assert second.table["representative"].tolist() == list(range(20))


def test_a_build_that_is_stopped_leaves_the_generation_before(tmp_path: Path) -> None:
    rows = vectors(1000)
    first = generation_of(tmp_path, rows[:100])

    def stop(done: int, _total: int) -> None:
        if done > 300:
            raise Stopped

    with pytest.raises(Stopped):
        build(target(tmp_path), source(rows), first, stop)
    found = latest_generation(target(tmp_path), revision=1000)
    assert found is not None
    assert len(found.table) == 100


def test_a_build_that_fails_gives_its_room_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = vectors(300)
    first = generation_of(tmp_path, rows[:100])
    size = first.vectors.path.stat().st_size

    def full(_graph: HnswGraph, _file: Path) -> None:
        raise OSError("no room")

    monkeypatch.setattr(HnswGraph, "save", full)
    for previous in (first, None):
        with pytest.raises(OSError, match="no room"):
            build(target(tmp_path), source(rows), previous, ignore)
    assert list(tmp_path.glob("*.f32")) == [first.vectors.path]
    assert first.vectors.path.stat().st_size == size


def test_progress_is_told_up_to_the_end(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    build(
        target(tmp_path), source(vectors(600)), None, lambda done, total: told.append((done, total))
    )
    assert told == [(256, 600), (512, 600), (600, 600)]
