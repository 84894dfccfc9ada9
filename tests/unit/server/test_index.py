"""The index: each quiet danger of hnswlib, and the file."""

from pathlib import Path

import numpy as np
import pytest

from server.index import INDEX_FILE, MANIFEST_FILE, HnswIndex, IndexParameters

PARAMETERS = IndexParameters(dimension=16, links=16, ef_construction=100, ef_search=200)


def vectors(n: int, seed: int = 1) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(n, 16)).astype(np.float32)
    unit: np.ndarray = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def filled(n: int) -> tuple[HnswIndex, np.ndarray]:
    index, rows = HnswIndex(PARAMETERS), vectors(n)
    for start in range(0, n, 500):
        index.add(range(start, min(n, start + 500)), rows[start : start + 500])
    return index, rows


def reload(folder: Path, current: set[int], **changed: object) -> HnswIndex | None:
    arguments = {"parameters": PARAMETERS, "built_for": "a", "revision": 5000, **changed}
    return HnswIndex.load(folder, current=current, **arguments)  # type: ignore[arg-type]


def test_it_grows_and_finds_what_an_exact_search_finds() -> None:
    index, rows = filled(3000)
    queries = vectors(50, seed=2)
    hits = 0
    for query in queries:
        labels, similarity = index.search(query, 10)
        exact = np.argsort(-(rows @ query))[:10]
        hits += len(set(labels) & set(exact.tolist()))
        np.testing.assert_allclose(similarity, rows[labels] @ query, atol=1e-5)
    assert hits >= 0.95 * 500


def test_more_than_there_is_gives_all_there_is() -> None:
    index, rows = filled(5)
    assert len(index.search(rows[0], 100)[0]) == 5
    assert HnswIndex(PARAMETERS).search(rows[0], 10)[0] == []


def test_what_is_removed_is_never_found_again() -> None:
    index, rows = filled(100)
    for label in range(90):
        index.remove(label)
    assert set(index.search(rows[0], 100)[0]) == set(range(90, 100))
    assert (index.live_count, index.tombstone_count) == (10, 90)


def test_identical_vectors_do_not_cut_off_the_others() -> None:
    index = HnswIndex(PARAMETERS)
    rows = np.concatenate([np.repeat(vectors(1), 1500, axis=0), vectors(500, seed=3)])
    index.add(range(2000), rows)
    found = sum(label in index.search(rows[label], 2000)[0] for label in range(1500, 2000, 25))
    assert found == 20


def test_a_saved_index_answers_as_before(tmp_path: Path) -> None:
    index, _rows = filled(2000)
    index.remove(7)
    index.save(tmp_path, "a", 2000)
    loaded = reload(tmp_path, set(range(2000)) - {7, 8})
    assert loaded is not None
    assert (loaded.live_count, loaded.tombstone_count) == (1998, 2)
    for query in vectors(20, seed=2):
        before = [label for label in index.search(query, 11)[0] if label != 8][:10]
        assert loaded.search(query, 10)[0] == before
    loaded.add([5000], vectors(1, seed=9))
    assert loaded.search(vectors(1, seed=9)[0], 1)[0] == [5000]


@pytest.mark.parametrize(
    "harm", ["flip", "truncate", "missing", "manifest", "no manifest", "list", "revision"]
)
def test_a_damaged_file_is_not_loaded(tmp_path: Path, harm: str) -> None:
    index, _ = filled(200)
    index.save(tmp_path, "a", 200)
    file, manifest = tmp_path / INDEX_FILE, tmp_path / MANIFEST_FILE
    assert reload(tmp_path, set(range(200))) is not None
    data = bytearray(file.read_bytes())
    match harm:
        case "flip":
            data[len(data) // 2] ^= 1
            file.write_bytes(data)
        case "truncate":
            file.write_bytes(data[:-10])
        case "missing":
            file.unlink()
        case "manifest":
            manifest.write_text(manifest.read_text()[:-5])
        case "no manifest":
            manifest.unlink()
        case "list":
            manifest.write_text("[]")
        case "revision":
            manifest.write_text(manifest.read_text().replace('"revision": 200', '"revision": "x"'))
    assert reload(tmp_path, set(range(200))) is None


def test_an_index_of_another_kind_is_not_loaded(tmp_path: Path) -> None:
    index, _ = filled(200)
    index.save(tmp_path, "a", 200)
    everything = set(range(200))
    other = IndexParameters(dimension=32, links=16, ef_construction=100, ef_search=200)
    assert reload(tmp_path, everything, parameters=other) is None
    assert reload(tmp_path, everything, built_for="b") is None
    assert reload(tmp_path, everything, revision=199) is None
