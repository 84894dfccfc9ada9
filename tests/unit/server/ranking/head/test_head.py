"""A head: unit vectors, the same for an item alone as among others, and a file that is checked."""

import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from longtail.server.ranking.head import head as module
from longtail.server.ranking.head.head import BLOCK, Head, HeadError, gelu, read_head, write_head


def drawn(seed: int = 0, dimension: int = 16, hidden: int = 8) -> Head:
    random = np.random.default_rng(seed)
    inner = random.normal(size=(dimension, hidden)).astype(np.float32)
    outer = random.normal(size=(hidden, dimension)).astype(np.float32)
    return Head(inner, outer, "an encoder", {"reached": {"cold ndcg@20": 0.25}})


def unit_vectors(count: int, dimension: int = 16) -> "np.typing.NDArray[np.float32]":
    made = np.random.default_rng(1).normal(size=(count, dimension))
    unit: np.typing.NDArray[np.float32] = made / np.linalg.norm(made, axis=1, keepdims=True)
    return unit.astype(np.float32)


def test_vectors_are_moved_to_unit_ones_however_many_come_together() -> None:
    head, vectors = drawn(), unit_vectors(BLOCK + 3)
    adapted = head.adapted(vectors)
    np.testing.assert_allclose(np.linalg.norm(adapted, axis=1), 1.0, rtol=1e-5)
    assert np.einsum("nd,nd->n", adapted, vectors).mean() < 0.99
    for place in (0, BLOCK - 1, BLOCK + 2):
        np.testing.assert_allclose(head.adapted(vectors[[place]])[0], adapted[place], atol=1e-5)
    assert head.adapted(vectors[:0]).shape == (0, 16)


def test_a_head_that_has_learned_nothing_leaves_vectors_as_they_are() -> None:
    inner = drawn().inner
    head, vectors = Head(inner, np.zeros_like(inner.T)), unit_vectors(5)
    np.testing.assert_allclose(head.adapted(vectors), vectors, atol=1e-6)


def test_gelu_is_a_gaussian_s_share_of_its_argument_and_knows_its_slope() -> None:
    values = np.linspace(-5, 5, 101)
    found, slope = gelu(values)  # type: ignore[arg-type]
    # From a table of the distribution function.
    assert found[[50, 60, 70]] == pytest.approx([0.0, 0.8413, 2 * 0.9772], abs=2e-3)
    step = 1e-5
    before, after = gelu(values - step)[0], gelu(values + step)[0]  # type: ignore[arg-type]
    np.testing.assert_allclose(slope, (after - before) / (2 * step), atol=1e-8)


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    head, path = drawn(), tmp_path / "new" / "head.npz"
    write_head(head, path)
    read = read_head(path)
    np.testing.assert_array_equal(read.inner, head.inner)
    np.testing.assert_array_equal(read.outer, head.outer)
    assert (read.encoder, read.facts) == (head.encoder, head.facts)
    assert read.version == head.version
    write_head(read, tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == path.read_bytes()
    assert drawn(1).version != head.version
    assert (head.likes, Head(head.inner, head.outer, facts={"learned from": 3}).likes) == (0, 0)
    assert Head(head.inner, head.outer, facts={"learned from": {"likes": 7}}).likes == 7
    assert Head(head.inner, head.outer, "another encoder").version != head.version


def test_a_file_of_no_use_is_refused_and_named(tmp_path: Path) -> None:
    path = tmp_path / "head.npz"
    with pytest.raises(HeadError, match=r"head\.npz"):
        read_head(path)
    write_head(drawn(), path)
    whole = path.read_bytes()
    for size in range(0, len(whole), 97):
        path.write_bytes(whole[:size])
        with pytest.raises(HeadError, match=r"head\.npz"):
            read_head(path)
    for place in range(0, len(whole), 131):
        changed = bytearray(whole)
        changed[place] ^= 0xFF
        path.write_bytes(changed)
        # What does not matter to a head may be changed: a date in the archive.
        with suppress(HeadError):
            assert read_head(path).version == drawn().version
    np.savez(path, inner=np.zeros((3, 2), np.float32))
    with pytest.raises(HeadError, match=r"head\.npz"):
        read_head(path)


@pytest.mark.parametrize("weight", [np.nan, np.inf, 1e30])
def test_weights_that_lead_nowhere_are_refused(weight: float, tmp_path: Path) -> None:
    path, head = tmp_path / "head.npz", drawn()
    head.outer[0, 0] = weight
    write_head(head, path)
    with pytest.raises(HeadError, match="lead nowhere"):
        read_head(path)


def test_what_an_archive_can_hold_beside_a_head_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "head.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as parts:
        parts.writestr("inner.npy", b"of no use")
    with pytest.raises(HeadError, match=r"head\.npz"):
        read_head(path)
    deep = np.frombuffer(b"[" * 100_000, np.uint8)
    np.savez(path, inner=drawn().inner, outer=drawn().outer, document=deep)
    with pytest.raises(HeadError, match="RecursionError"):
        read_head(path)
    write_head(drawn(), path)
    monkeypatch.setattr(module, "MOST_BYTES", 100)
    with pytest.raises(HeadError, match="are the most"):
        read_head(path)
