"""Search over graph and delta: exactness, filters, and no lock between writer and readers."""

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from longtail.server.catalogue.index import vector_index as module
from longtail.server.catalogue.index.build import build
from longtail.server.catalogue.index.graph import GraphError, Result
from longtail.server.catalogue.index.hnsw import HnswGraph
from longtail.server.catalogue.index.plan import are_enough, fetch_size, scan_is_cheaper
from longtail.server.catalogue.index.vector_index import VectorIndex
from longtail.server.ranking.duplicates import leaders

from tests.unit.server.index_material import (
    PARAMETERS,
    Seen,
    everything,
    ignore,
    index_of,
    source,
    target,
    vectors,
)


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return vectors(12_000)


@pytest.fixture(scope="module")
def index(rows: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> VectorIndex:
    found = index_of(tmp_path_factory.mktemp("index"), rows[:10_000])
    found.append(rows[10_000:])
    return found


def test_rows_beside_the_graph_are_found_at_once(index: VectorIndex, rows: np.ndarray) -> None:
    assert (index.graph_rows, index.delta_rows) == (10_000, 2_000)
    for row in (0, 9_999, 10_000, 11_999):
        assert index.search(rows[row], 1, everything(12_000))[0].tolist() == [row]


def test_rows_that_came_after_the_request_are_not_found(
    index: VectorIndex, rows: np.ndarray
) -> None:
    assert 11_999 not in index.search(rows[11_999], 50, everything(11_999))[0]
    # As when the graph was replaced by one that holds more than the request may see.
    assert 9_500 not in index.search(rows[9_500], 50, everything(9_500))[0]


def test_vectors_are_those_that_were_given(index: VectorIndex, rows: np.ndarray) -> None:
    mixed = np.array([11_000, 3, 10_000, 9_999])
    np.testing.assert_array_equal(index.vectors(mixed), rows[mixed])
    np.testing.assert_array_equal(index.vectors(np.array([5, 3])), rows[[5, 3]])


@pytest.mark.parametrize("share", [1.0, 0.5, 0.1, 0.01, 0.001])
def test_a_filter_gets_as_many_as_there_are_and_nearly_the_exact_ones(
    index: VectorIndex, share: float
) -> None:
    allowed = np.random.default_rng(7).random(12_000) < share
    scope = Seen(allowed)
    hits = wanted = 0
    for query in vectors(30, seed=8):
        found, cosines = index.search(query, 20, scope)
        exact, _ = index.scan(query, 20, scope)
        assert len(found) == min(20, int(allowed.sum()))
        assert allowed[found].all()
        assert (np.diff(cosines) <= 1e-6).all()
        hits += len(np.intersect1d(found, exact))
        wanted += len(exact)
    assert hits >= 0.97 * wanted


def test_a_filter_that_goes_against_the_query_is_answered_in_full(
    index: VectorIndex, rows: np.ndarray
) -> None:
    query = rows[0]
    allowed = rows @ query < 0
    found, _ = index.search(query, 50, Seen(allowed))
    assert len(found) == 50
    assert allowed[found].all()
    assert found.tolist() == index.scan(query, 50, Seen(allowed))[0].tolist()


@pytest.mark.parametrize("share", [1.0, 0.5, 0.01])
def test_several_are_found_as_one_by_one(
    index: VectorIndex, rows: np.ndarray, share: float
) -> None:
    allowed = np.random.default_rng(9).random(12_000) < share
    # The third vector is against the scope, which is searched more widely for all.
    allowed &= (rows @ rows[2] < 0) | (share == 1.0)
    wanted = np.stack([rows[0], rows[11_000], rows[2], *vectors(2, seed=10)])
    for scope in (Seen(allowed), Seen(allowed[:9_000])):
        together = index.search_each(wanted, 20, scope)
        for vector, (found, cosines) in zip(wanted, together, strict=True):
            one, its_cosines = index.search(vector, 20, scope)
            assert len(found) == min(20, int(scope.allowed.sum()))
            assert len(np.intersect1d(found, one)) >= 19
            np.testing.assert_allclose(cosines, its_cosines, atol=0.02)
            exact, exact_cosines = index.scan(vector, 20, scope)
            # What is sought for all is sought at least as widely as for one.
            assert len(np.intersect1d(found, exact)) >= len(np.intersect1d(one, exact))
            assert cosines[0] == pytest.approx(exact_cosines[0], abs=1e-6)


def test_twins_are_found_for_each_of_several(tmp_path: Path) -> None:
    rows = np.concatenate([vectors(3_000), np.repeat(vectors(3_000)[:2], 4, axis=0)])
    found_in = index_of(tmp_path, rows)
    found_in.append(rows[:2])
    scope = everything(len(rows) + 2)
    for at, (found, cosines) in enumerate(found_in.search_each(rows[:2], 6, scope)):
        first = 3_000 + 4 * at
        assert found.tolist() == [at, *range(first, first + 4), len(rows) + at]
        assert cosines == pytest.approx(np.ones(6), abs=1e-5)
        assert found.tolist() == found_in.search(rows[at], 6, scope)[0].tolist()


def test_nothing_allowed_is_nothing_found(index: VectorIndex, rows: np.ndarray) -> None:
    assert len(index.search(rows[0], 10, Seen(np.zeros(12_000, np.bool_)))[0]) == 0


def test_a_graph_that_leads_nowhere_is_replaced_by_a_scan(
    index: VectorIndex, rows: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lead_nowhere(_graph: HnswGraph, _vector: object, _k: int) -> None:
        raise GraphError("no way")

    monkeypatch.setattr(HnswGraph, "search", lead_nowhere)
    scope = everything(12_000)
    found, _ = index.search(rows[4], 10, scope)
    assert found.tolist() == index.scan(rows[4], 10, scope)[0].tolist()


def test_without_a_graph_everything_is_scanned() -> None:
    index = VectorIndex(PARAMETERS)
    assert len(index.search(vectors(1)[0], 5, everything(0))[0]) == 0
    rows = vectors(3_000)
    for start in range(0, 3_000, 100):
        index.append(rows[start : start + 100])
    query = vectors(1, seed=3)[0]
    exact = np.argsort(-(rows @ query), kind="stable")[:10]
    assert index.search(query, 10, everything(3_000))[0].tolist() == exact.tolist()


def test_equals_come_in_the_order_of_their_rows() -> None:
    index = VectorIndex(PARAMETERS)
    index.append(np.repeat(vectors(1), 20, axis=0))
    assert index.search(vectors(1)[0], 5, everything(20))[0].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("dimension", [16, 384])
@pytest.mark.parametrize("seed", range(3))
def test_where_equals_stand_makes_no_difference(tmp_path: Path, dimension: int, seed: int) -> None:
    parameters = replace(PARAMETERS, dimension=dimension)
    generator = np.random.default_rng(seed)
    three = generator.normal(size=(3, dimension))
    three[1] = three[0] + 0.3 * three[1]
    three = (three / np.linalg.norm(three, axis=1, keepdims=True)).astype(np.float32)
    # Thousands of copies, one item that is near to them, and one that is not.
    rows = three[np.zeros(5_002, int)]
    rows[[5_000, 5_001]] = three[1:]
    # What is left out by turns: nothing, and what stands for the others.
    scopes = [everything(len(rows)), Seen(np.arange(len(rows)) % 3 > 0)]
    lists = []
    for merged in (0, 7, 2_503, len(rows)):
        index = VectorIndex(parameters)
        if merged:
            folder = target(tmp_path / str(merged), parameters=parameters)
            index = VectorIndex.of(build(folder, source(rows[:merged]), None, ignore))
        index.append(rows[merged:])
        lists.append(
            [
                index.search(three[1], 200, scope, once=once)[0].tolist()
                for scope in scopes
                for once in (False, True)
            ]
        )
    assert lists[0][:2] == [[5_000, *range(199)], [5_000, 0, 5_001]]
    assert [len(found) for found in lists[0]] == [200, 3, 200, 2 + (5_001 % 3 > 0)]
    assert lists == [lists[0]] * len(lists)


def test_what_is_all_but_as_near_is_told_apart_alike(tmp_path: Path) -> None:
    rows = vectors(3_000)
    # Nearer to the query than a sum of float32 can tell, in the order of their rows and against it.
    steps = np.float32(1e-7) * np.arange(-300, 300, dtype=np.float32)
    rows[1_000:1_600] = rows[0] + np.outer(steps, rows[1])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    query = rows[1]
    lists = []
    for merged in (0, 1_200, 3_000):
        index = VectorIndex(PARAMETERS)
        if merged:
            index = index_of(tmp_path / str(merged), rows[:merged])
        index.append(rows[merged:])
        lists.append(index.scan(query, 1_500, everything(3_000))[0].tolist())
    assert lists == [lists[0]] * 3


def test_readers_see_whole_rows_while_a_writer_appends(tmp_path: Path) -> None:
    rows = vectors(20_000)
    index = index_of(tmp_path, rows[:2_000])
    wrong: list[object] = []
    done = threading.Event()
    count = [2_000]

    def read(seed: int) -> None:
        generator = np.random.default_rng(seed)
        while not done.is_set():
            seen = count[0]
            row = int(generator.integers(seen))
            found, cosines = index.search(rows[row], 3, everything(seen))
            if found[0] != row or abs(cosines[0] - 1) > 1e-5 or (found >= seen).any():
                wrong.append((row, found, cosines))

    readers = [threading.Thread(target=read, args=(seed,)) for seed in range(3)]
    for reader in readers:
        reader.start()
    for start in range(2_000, 20_000, 50):
        index.append(rows[start : start + 50])
        count[0] = start + 50
    done.set()
    for reader in readers:
        reader.join()
    assert wrong == []


def test_what_is_fetched_grows_with_the_rarity_of_matches() -> None:
    assert fetch_size(10, 1000, 1000, 100) == 10
    # A few tombstones cost next to nothing, a filter twice the width.
    assert 10 < fetch_size(10, 999, 1000, 100) < 20
    assert fetch_size(10, 500, 1000, 100) == 200
    assert fetch_size(100, 50_000, 100_000, 100) > 200
    assert fetch_size(100, 1_000, 100_000, 100) > 10_000
    assert fetch_size(100, 10, 1_000, 100) == 1_000
    assert fetch_size(2_000, 1_000, 1_000, 100) == 1_000


def test_few_matches_are_scanned_and_many_are_fetched() -> None:
    assert scan_is_cheaper(500, fetch=100, ef_search=100)
    assert not scan_is_cheaper(5_000, fetch=100, ef_search=100)
    assert scan_is_cheaper(5_000, fetch=1_000, ef_search=100)


def test_with_a_filter_more_matches_than_are_wanted_must_turn_up() -> None:
    assert are_enough(10, k=10, matching=900, live=1000)
    assert not are_enough(19, k=10, matching=100, live=1000)
    assert are_enough(20, k=10, matching=100, live=1000)


@pytest.fixture
def scanned(monkeypatch: pytest.MonkeyPatch) -> tuple[VectorIndex, list[int]]:
    """An index without a graph, and how many vectors it was scanned for, each time."""
    index, counts = VectorIndex(PARAMETERS), list[int]()
    index.append(vectors(2_000))
    scan = index._scanned

    def noted(layers: Any, new: np.ndarray, k: int, rows: np.ndarray) -> list[Result]:  # noqa: ANN401
        counts.append(len(new))
        return scan(layers, new, k, rows)

    monkeypatch.setattr(index, "_scanned", noted)
    return index, counts


def test_what_was_scanned_for_is_not_scanned_for_again(
    scanned: tuple[VectorIndex, list[int]],
) -> None:
    (index, counts), queries, scope = scanned, vectors(3, seed=2), everything(2_000)
    whole = index.search_each(queries, 20, scope)
    again = index.search_each(queries[[2, 0]], 20, scope)
    assert counts == [3]
    for (rows, cosines), (expected, theirs) in zip(again, (whole[2], whole[0]), strict=True):
        assert rows.tolist() == expected.tolist()
        assert cosines.tolist() == theirs.tolist()
    # Another number is another search, and new vectors are searched for beside known ones.
    assert len(index.search(queries[0], 21, scope)[0]) == 21
    index.search_each(np.stack((queries[1], vectors(1, seed=3)[0])), 20, scope)
    assert counts == [3, 1, 1]


def test_what_is_known_is_found_as_far_as_it_may_be_and_what_came_since(
    scanned: tuple[VectorIndex, list[int]],
) -> None:
    (index, _), query = scanned, vectors(1, seed=2)[0]
    first, _ = index.search(query, 20, everything(2_000))
    allowed = np.ones(2_000, np.bool_)
    allowed[first[:15]] = False
    assert index.search(query, 20, Seen(allowed))[0].tolist()[:5] == first[15:].tolist()
    # More of it may not be found than was looked for at all.
    allowed[index.search(query, 40, everything(2_000))[0]] = False
    found, _ = index.search(query, 20, Seen(allowed))
    assert found.tolist() == index.scan(query, 20, Seen(allowed))[0].tolist()
    index.append(query[np.newaxis])
    assert index.search(query, 20, everything(2_001))[0].tolist() == [2_000, *first[:19].tolist()]


def test_which_rows_are_the_same_is_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    index, rows = VectorIndex(PARAMETERS), np.array([4, 1, 3, 2])
    index.append(np.concatenate((vectors(3), vectors(2))))
    compared: list[int] = []

    def noted(given: np.ndarray) -> np.ndarray:
        compared.append(len(given))
        return leaders(given)

    monkeypatch.setattr(module, "leaders", noted)
    for _ in range(2):
        assert index.leaders(rows, index.vectors(rows)).tolist() == [0, 0, 2, 3]
    assert compared == [4]
    assert index.leaders(rows[1:], index.vectors(rows[1:])).tolist() == [0, 1, 2]
