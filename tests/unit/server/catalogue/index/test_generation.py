"""Generations on disk: what is damaged, foreign or ahead is not used; what is not needed goes."""

import json
from pathlib import Path

import numpy as np
import pytest
from longtail.server.catalogue.index.build import build
from longtail.server.catalogue.index.copies import FILE as COPIES_FILE
from longtail.server.catalogue.index.generation import (
    MANIFEST_FILE,
    ROWS_FILE,
    Generation,
    finished_number,
    latest_generation,
    prune,
)
from longtail.server.catalogue.index.graph import IndexParameters
from longtail.server.catalogue.index.hnsw import GRAPH_FILE
from longtail.server.process.durable import flush

from tests.damages import check_refusals
from tests.unit.server.index_material import (
    PARAMETERS,
    generation_of,
    ignore,
    source,
    target,
    vectors,
)


def latest(
    folder: Path,
    revision: int = 5000,
    built_for: str = "a",
    parameters: IndexParameters = PARAMETERS,
) -> Generation | None:
    return latest_generation(target(folder, built_for, parameters), revision=revision)


def header(text: str) -> bytes:
    """Return the beginning of a file of numpy's."""
    content = text.ljust(117).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(content).to_bytes(2, "little") + content


def flip(file: Path, at: int) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)


def test_a_generation_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = generation_of(tmp_path, vectors(200))
    read = latest(tmp_path)
    assert read is not None
    assert (read.number, read.newest, read.target.built_for) == (1, 200, "a")
    np.testing.assert_array_equal(read.table, written.table)
    assert read.vectors == written.vectors


@pytest.mark.parametrize("name", [GRAPH_FILE, ROWS_FILE, COPIES_FILE, MANIFEST_FILE, "vectors"])
@pytest.mark.parametrize("harm", ["flip early", "flip late", "truncate", "delete", "empty"])
def test_a_damaged_generation_is_not_used(tmp_path: Path, name: str, harm: str) -> None:
    generation = generation_of(tmp_path, vectors(200))
    file = generation.vectors.path if name == "vectors" else generation.folder / name
    size = file.stat().st_size
    match harm:
        case "flip early":
            flip(file, size // 5)
        case "flip late":
            flip(file, size - 20)
        case "truncate":
            file.write_bytes(file.read_bytes()[:-1])
        case "delete":
            file.unlink()
        case "empty":
            file.write_bytes(b"")
    assert latest(tmp_path) is None


def test_every_flipped_bit_of_the_manifest_is_seen(tmp_path: Path) -> None:
    generation = generation_of(tmp_path, vectors(20))
    manifest = generation.folder / MANIFEST_FILE
    whole = manifest.read_bytes()
    values = json.loads(whole)
    for at in range(len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 1
        manifest.write_bytes(damaged)
        found = latest(tmp_path)
        # White space may change into white space that means the same.
        assert found is None or json.loads(manifest.read_bytes()) == values, at


def test_the_generation_before_stands_in_for_a_damaged_one(tmp_path: Path) -> None:
    rows = vectors(200)
    first = generation_of(tmp_path, rows[:100])
    second = build(target(tmp_path), source(rows), first, ignore)
    flip(second.folder / GRAPH_FILE, 5000)
    found = latest(tmp_path)
    assert found is not None
    assert found.number == 1


def test_what_follows_an_old_generation_leaves_the_vectors_of_later_ones_alone(
    tmp_path: Path,
) -> None:
    rows = vectors(200)
    first = generation_of(tmp_path, rows[:100])
    second = build(target(tmp_path), source(rows), first, ignore)
    mapped = second.vectors.mapped()
    other = vectors(150, seed=5)
    other[:100] = rows[:100]
    third = build(target(tmp_path), source(other), first, ignore)
    np.testing.assert_array_equal(mapped, rows)
    np.testing.assert_array_equal(third.vectors.mapped(), other)
    assert third.vectors.path != second.vectors.path


def test_what_others_may_have_mapped_is_never_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = vectors(200)
    first = generation_of(tmp_path, rows[:100])

    def fail(path: Path) -> None:
        # Only after it took its name.
        if path == tmp_path:
            raise OSError("the disk fails")
        flush(path)

    monkeypatch.setattr("longtail.server.catalogue.index.generation.flush", fail)
    second = build(target(tmp_path), source(rows), first, ignore)
    found = latest(tmp_path)
    assert found is not None
    assert found.number == second.number
    np.testing.assert_array_equal(found.vectors.mapped(), rows)


def test_a_generation_of_another_kind_is_not_used(tmp_path: Path) -> None:
    generation_of(tmp_path, vectors(50))
    assert latest(tmp_path, built_for="b") is None
    assert latest(tmp_path, parameters=IndexParameters(32, 16, 100, 100)) is None
    assert latest(tmp_path, parameters=IndexParameters(16, 8, 100, 100)) is None
    assert latest(tmp_path, parameters=IndexParameters(16, 16, 101, 100)) is None
    # The width of the search decides nothing about the graph.
    assert latest(tmp_path, parameters=IndexParameters(16, 16, 100, 50)) is not None


def test_a_generation_ahead_of_the_store_is_not_used(tmp_path: Path) -> None:
    generation_of(tmp_path, vectors(50))
    assert latest(tmp_path, revision=49) is None
    assert latest(tmp_path, revision=50) is not None


def test_two_generations_are_kept_and_the_vectors_they_need(tmp_path: Path) -> None:
    rows = vectors(400)
    generation = None
    for count in (100, 200, 300, 400):
        generation = build(target(tmp_path), source(rows[:count]), generation, ignore)
    afresh = build(target(tmp_path), source(rows), None, ignore)
    (tmp_path / "unfinished-000000000009").mkdir()
    prune(tmp_path)
    left = sorted(path.name for path in tmp_path.iterdir() if path.is_dir())
    assert left == ["generation-000000000004", "generation-000000000005"]
    assert len(list(tmp_path.glob("*.f32"))) == 2
    assert afresh.graph().live_count == 400


def test_a_number_is_not_used_twice(tmp_path: Path) -> None:
    (tmp_path / "unfinished-000000000009").mkdir()
    assert generation_of(tmp_path, vectors(5)).number == 10


def test_no_damage_is_more_than_a_generation_that_is_not_used(tmp_path: Path) -> None:
    generation = generation_of(tmp_path, vectors(200))
    names = (GRAPH_FILE, ROWS_FILE, MANIFEST_FILE)
    for file in (*(generation.folder / name for name in names), generation.vectors.path):
        # Nothing is raised: the index is built anew.
        assert check_refusals(file, lambda: latest(tmp_path), AssertionError) == 0
    assert latest(tmp_path) is not None


@pytest.mark.parametrize(
    "content",
    [
        b"PK\x03\x04, as a file of several arrays begins",
        b"\x80\x04., as objects of Python begin",
        header("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,)}"),
        header("{'descr': [('a', '<f8')], 'shape': (((((((((("),
    ],
)
def test_a_table_is_not_believed_before_it_is_verified(tmp_path: Path, content: bytes) -> None:
    generation = generation_of(tmp_path, vectors(20))
    (generation.folder / ROWS_FILE).write_bytes(content)
    assert latest(tmp_path) is None


def test_what_only_looks_like_a_generation_is_passed_over(tmp_path: Path) -> None:
    generation_of(tmp_path, vectors(20))
    for name in ("generation-old", "generation-000000000001.bak", "unfinished-x"):
        (tmp_path / name).mkdir()
    assert latest(tmp_path) is not None
    assert finished_number(tmp_path) == 1
    prune(tmp_path)
    assert latest(tmp_path) is not None
