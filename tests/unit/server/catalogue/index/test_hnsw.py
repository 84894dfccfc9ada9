"""The graph: each quiet danger of hnswlib that lies in a single graph.

The others are in test_generation.py (files that are damaged or of another kind), test_build.py
(duplicates, removal, labels) and test_vector_index.py (searching while rows come, filters).
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from longtail.server.catalogue.index import graph as graph_module
from longtail.server.catalogue.index.graph import GraphError
from longtail.server.catalogue.index.hnsw import HnswGraph

from tests.unit.server.index_material import PARAMETERS, graph_of, nearest, vectors


def test_more_than_there_is_gives_all_there_is() -> None:
    rows = vectors(5)
    assert sorted(nearest(graph_of(rows), rows[0], 100)[0]) == [0, 1, 2, 3, 4]


def test_an_empty_graph_finds_nothing() -> None:
    assert len(nearest(HnswGraph(PARAMETERS, 10), vectors(1)[0], 3)[0]) == 0


def test_what_was_removed_is_not_found_and_not_asked_for() -> None:
    rows = vectors(100)
    graph = graph_of(rows)
    for row in range(90):
        graph.remove(row)
    assert graph.live_count == 10
    assert sorted(nearest(graph, rows[0], 100)[0]) == list(range(90, 100))


def test_cosines_are_those_of_the_vectors_from_the_nearest_on() -> None:
    rows = vectors(500)
    query = vectors(1, seed=2)[0]
    found, cosines = nearest(graph_of(rows), query, 20)
    np.testing.assert_allclose(cosines, rows[found] @ query, atol=1e-6)
    assert (np.diff(cosines) <= 0).all()


def test_a_graph_that_leads_nowhere_says_so_in_our_words(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = graph_of(vectors(10))
    # The graph is told of rows that it does not have.
    graph._removed = -5
    with pytest.raises(GraphError, match="fewer than 15"):
        nearest(graph, vectors(1)[0], 15)


def test_what_was_searched_for_is_not_searched_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, queries = vectors(500), vectors(3, seed=2)
    graph = graph_of(rows)
    searched: list[int] = []
    search = graph._search

    def noted(new: np.ndarray, k: int) -> list[tuple[np.ndarray, np.ndarray]]:
        searched.append(len(new))
        return search(new, k)

    monkeypatch.setattr(graph, "_search", noted)
    whole = graph.search(queries, 20)
    again = graph.search(queries[[2, 0]], 20)
    assert searched == [3]
    for (found, cosines), (expected, theirs) in zip(again, (whole[2], whole[0]), strict=True):
        assert found.tolist() == expected.tolist()
        assert cosines.tolist() == theirs.tolist()
    # Another number is another search, and new vectors are searched for beside known ones.
    assert len(nearest(graph, queries[0], 21)[0]) == 21
    [_, (found, _)] = graph.search(np.stack((queries[1], rows[7])), 20)
    assert found[0] == 7
    assert searched == [3, 1, 1]
    # A graph that is another finds what it holds.
    graph.remove(7)
    assert 7 not in nearest(graph, rows[7], 20)[0]


def test_what_is_kept_is_bounded_and_no_reader_can_change_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(graph_module, "KEPT_RESULTS", 2)
    monkeypatch.setattr(graph_module, "LARGEST_KEPT", 30)
    graph, queries = graph_of(vectors(100)), vectors(3, seed=2)
    for query in queries:
        nearest(graph, query, 5)
    nearest(graph, queries[0], 31)
    assert len(graph._kept) == 2
    found, cosines = nearest(graph, queries[2], 5)
    with pytest.raises(ValueError, match="read-only"):
        found[0] = 0
    with pytest.raises(ValueError, match="read-only"):
        cosines[0] = 0


def test_the_width_of_the_search_survives_saving_and_loading(tmp_path: Path) -> None:
    rows = vectors(3000)
    graph = graph_of(rows)
    graph.save(tmp_path / "graph")
    loaded = HnswGraph.load(PARAMETERS, tmp_path / "graph", 3000, removed=0)
    assert loaded._graph.ef == PARAMETERS.ef_search
    for query in vectors(20, seed=2):
        assert nearest(loaded, query, 10)[0].tolist() == nearest(graph, query, 10)[0].tolist()


def test_a_loaded_graph_takes_rows_up_to_its_capacity_without_growing(tmp_path: Path) -> None:
    rows = vectors(200)
    graph_of(rows[:100]).save(tmp_path / "graph")
    loaded = HnswGraph.load(PARAMETERS, tmp_path / "graph", 200, removed=0)
    loaded.add(np.arange(100, 200), rows[100:])
    assert all(nearest(loaded, rows[row], 1)[0] == [row] for row in range(200))
    with pytest.raises(RuntimeError, match="exceeds the specified limit"):
        loaded.add(np.array([200]), rows[:1])


def test_two_builds_of_the_same_rows_are_the_same_graph(tmp_path: Path) -> None:
    rows = vectors(2000)
    for name in ("a", "b"):
        graph_of(rows).save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_full_disk_is_an_error() -> None:
    with pytest.raises(OSError, match=r"bytes were written|Invalid argument|No space"):
        graph_of(vectors(50)).save(Path("/dev/full"))


def test_a_file_cut_short_by_a_limit_is_an_error(tmp_path: Path) -> None:
    script = """
import resource, signal, sys
from pathlib import Path
from tests.unit.server.index_material import graph_of, vectors
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
graph = graph_of(vectors(500))
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    graph.save(Path(sys.argv[1]))
except OSError as error:
    print("refused", error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "graph")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "bytes were written" in done.stdout


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        graph_of(vectors(5)).save(tmp_path / "no" / "graph")
