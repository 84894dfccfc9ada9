"""Shorter vectors: the first numbers of a Matryoshka encoder's, or the best directions of any.

A Matryoshka encoder (Kusupati et al., "Matryoshka Representation Learning", 2022) is trained so
that the beginning of a vector is a vector by itself. Of other encoders the directions are taken
that carry most of the texts' vectors: the leading eigenvectors of their second moments.

The mean is not subtracted. Uncentred, the projection is the one of that rank that keeps the
vectors, and with them the inner products by which texts are ranked, nearest in the least squares
(Eckart and Young, "The approximation of one matrix by another of lower rank", 1936); centred, it
would keep the distances from the mean, and queries and items would have to be shifted alike.
"""

import numpy as np
import onnx
import onnx.parser
from longtail.export import head
from longtail.export.errors import ExportError
from longtail.worker.vectors import Vectors
from numpy.typing import NDArray
from onnx import ModelProto, numpy_helper

# The projection, like the head's mean, is a product of two rows at least.
_CUT = """
cut (float[batch, whole] whole_embedding) => (float[batch, kept] embedding)
  <int64[1] cut_token_axis = {{1}}, int64[1] cut_hidden_axis = {{-1}}, float cut_tiny = {{1e-12}},
   int64 cut_first = {{0}}, int64[1] cut_start = {{0}}, int64[1] cut_end = {{{dimension}}}>
{{ {steps} {unit_length} }}
"""
_PROJECT = """
    cut_whole = Unsqueeze (whole_embedding, cut_token_axis)
    cut_twice = Concat <axis = 1> (cut_whole, cut_whole)
    cut_vectors = MatMul (cut_twice, projection)
    cut_vector = Gather <axis = 1> (cut_vectors, cut_first)
"""
_TRUNCATE = "cut_vector = Slice (whole_embedding, cut_start, cut_end, cut_hidden_axis)"


def check(dimension: int, whole: int) -> None:
    """Raise ExportError unless vectors of `whole` numbers can be shortened to `dimension`."""
    if not 1 <= dimension < whole:
        raise ExportError(
            f"vectors of {whole} numbers cannot be shortened to {dimension}: 1 to {whole - 1} can"
        )


def fit_pca(vectors: Vectors, dimension: int) -> NDArray[np.float32]:
    """Return the projection (whole, dimension) onto the vectors' leading directions.

    Its columns are orthonormal and depend on the vectors alone. Raises ExportError when the
    dimension is out of bounds, or there are fewer vectors than it.
    """
    count, whole = vectors.shape
    check(dimension, whole)
    if count < dimension:
        raise ExportError(f"{dimension} directions cannot be found from {count} texts")
    moments = vectors.T.astype(np.float64) @ vectors
    # Eigenvalues come in ascending order.
    directions = np.linalg.eigh(moments).eigenvectors[:, : -dimension - 1 : -1]
    # An eigenvector's sign is open; a fixed one gives the same artefact everywhere.
    largest = np.argmax(np.abs(directions), axis=0)
    signs = np.sign(directions[largest, np.arange(dimension)])
    return np.ascontiguousarray(directions * signs, dtype=np.float32)


def append(graph: ModelProto, projection: NDArray[np.float32] | None, dimension: int) -> ModelProto:
    """Return a copy of `graph` whose `embedding` is projected, then brought to unit length.

    `projection` is (whole, dimension) with orthonormal columns; without one the first `dimension`
    numbers are kept. Raises ExportError when the dimension is out of bounds.
    """
    shortened = ModelProto()
    shortened.CopyFrom(graph)
    output = shortened.graph.output[0].type.tensor_type.shape.dim[-1]
    check(dimension, output.dim_value)
    for node in shortened.graph.node:
        for index, name in enumerate(node.output):
            if name == "embedding":
                node.output[index] = "whole_embedding"
    unit_length = head.unit_length("cut_vector", prefix="cut_")
    steps = _TRUNCATE if projection is None else _PROJECT
    cut = onnx.parser.parse_graph(
        _CUT.format(dimension=dimension, steps=steps, unit_length=unit_length)
    )
    used = {name for node in cut.node for name in node.input}
    shortened.graph.initializer.extend(v for v in cut.initializer if v.name in used)
    if projection is not None:
        if projection.shape != (output.dim_value, dimension):
            raise ExportError(
                f"a projection of shape {projection.shape} does not take "
                f"{output.dim_value} numbers to {dimension}"
            )
        shortened.graph.initializer.append(numpy_helper.from_array(projection, "projection"))
    shortened.graph.node.extend(cut.node)
    output.dim_value = dimension
    onnx.checker.check_model(shortened)
    return shortened


def lift(vectors: Vectors, projection: NDArray[np.float32] | None, whole: int) -> Vectors:
    """Return shortened vectors (texts, dimension) where they lie among the whole ones.

    Inner products stay as they are, so parity with the whole vectors can be measured: the cosine
    of a text is then the share of its vector's length that the shortened one keeps.
    """
    if projection is not None:
        return np.asarray(vectors @ projection.T)
    return np.pad(vectors, ((0, 0), (0, whole - vectors.shape[1])))
