from pathlib import Path

import numpy as np
import pytest
from longtail.export import dimensions, fp16, fp32, parity
from longtail.export.errors import ExportError
from longtail.worker.vectors import Vectors

from tests.unit.export import checkpoints
from tests.unit.export.graphs import MIXED, Build, Tiny, eight_bits


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    return Tiny(checkpoints.write(tmp_path / "tiny"))


def unit(vectors: Vectors) -> Vectors:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def flat(count: int, whole: int, rank: int) -> Vectors:
    """Return unit vectors of `whole` numbers that lie in `rank` hidden directions, off centre."""
    generator = np.random.default_rng(5)
    directions = np.linalg.qr(generator.standard_normal((whole, rank)))[0]
    points = generator.standard_normal((count, rank)) + 1
    return unit((points @ directions.T).astype(np.float32))


@pytest.mark.parametrize("dimension", [1, 7, 31])
def test_the_graph_truncates_and_comes_to_unit_length_again(tiny: Tiny, dimension: int) -> None:
    whole = fp32.build(tiny.model, tiny.pooling, tiny.folder)
    shortened = dimensions.append(whole, None, dimension)
    expected = unit(tiny.run(whole)[:, :dimension])
    np.testing.assert_allclose(tiny.run(shortened), expected, atol=1e-5)
    assert whole.graph.output[0].type.tensor_type.shape.dim[-1].dim_value == 32
    assert shortened.graph.output[0].type.tensor_type.shape.dim[-1].dim_value == dimension


@pytest.mark.parametrize("build", [fp32.build, eight_bits])
def test_the_graph_projects_and_comes_to_unit_length_again(tiny: Tiny, build: Build) -> None:
    whole = build(tiny.model, tiny.pooling, tiny.folder)
    vectors = tiny.run(whole)
    projection = dimensions.fit_pca(vectors, 9)
    shortened = tiny.run(dimensions.append(whole, projection, 9))
    np.testing.assert_allclose(shortened, unit(vectors @ projection), atol=1e-5)


def test_the_graph_for_a_gpu_can_be_shortened_too(tiny: Tiny) -> None:
    whole = fp16.build(tiny.model, tiny.pooling, tiny.folder)
    shortened = dimensions.append(whole, dimensions.fit_pca(tiny.original(), 5), 5)
    assert shortened.graph.output[0].type.tensor_type.shape.dim[-1].dim_value == 5


def test_directions_that_carry_all_keep_all() -> None:
    vectors = flat(count=200, whole=40, rank=11)
    projection = dimensions.fit_pca(vectors, 11)
    np.testing.assert_allclose(projection.T @ projection, np.eye(11), atol=1e-6)
    shortened = vectors @ projection
    np.testing.assert_allclose(shortened @ shortened.T, vectors @ vectors.T, atol=1e-5)
    assert parity.measure(dimensions.lift(shortened, projection, 40), vectors).cosine_min > 0.99999


def test_the_directions_keep_more_than_any_others_of_their_number() -> None:
    vectors = unit(flat(count=200, whole=40, rank=20) + 0.05)
    projection = dimensions.fit_pca(vectors, 8)
    centred = np.linalg.svd(vectors - vectors.mean(axis=0))[2][:8].T
    kept, first, by_spread = (
        np.sum((vectors @ p) ** 2) for p in (projection, np.eye(40)[:, :8], centred)
    )
    assert kept > first
    assert kept > by_spread


def test_the_same_vectors_give_the_same_directions_whichever_way_they_point() -> None:
    vectors = flat(count=200, whole=40, rank=20)
    np.testing.assert_array_equal(dimensions.fit_pca(vectors, 5), dimensions.fit_pca(-vectors, 5))
    projection = dimensions.fit_pca(vectors, 19)
    assert (projection.max(axis=0) > -projection.min(axis=0)).all()


def test_lifted_vectors_keep_their_inner_products() -> None:
    vectors = flat(count=30, whole=40, rank=20)
    projection = dimensions.fit_pca(vectors, 6)
    shortened = unit(vectors @ projection)
    for one, kind in ((shortened, projection), (unit(vectors[:, :6]), None)):
        lifted = dimensions.lift(one, kind, 40)
        assert lifted.shape == (30, 40)
        np.testing.assert_allclose(lifted @ lifted.T, one @ one.T, atol=1e-5)
    cut = dimensions.lift(vectors[:, :6], None, 40)
    np.testing.assert_array_equal(cut[:, :6], vectors[:, :6])


@pytest.mark.parametrize("dimension", [-1, 0, 32, 33])
def test_a_dimension_out_of_bounds_is_refused(tiny: Tiny, dimension: int) -> None:
    message = f"32 numbers cannot be shortened to {dimension}: 1 to 31 can"
    with pytest.raises(ExportError, match=message):
        dimensions.append(fp32.build(tiny.model, tiny.pooling, tiny.folder), None, dimension)
    with pytest.raises(ExportError, match=message):
        dimensions.fit_pca(tiny.original(), dimension)


def test_a_projection_of_another_shape_is_refused(tiny: Tiny) -> None:
    whole = fp32.build(tiny.model, tiny.pooling, tiny.folder)
    with pytest.raises(ExportError, match=r"shape \(40, 5\) does not take 32 numbers to 5"):
        dimensions.append(whole, np.zeros((40, 5), np.float32), 5)


def test_fewer_texts_than_directions_are_refused(tiny: Tiny) -> None:
    with pytest.raises(ExportError, match=f"20 directions .* from {len(MIXED)} texts"):
        dimensions.fit_pca(tiny.original(), 20)
