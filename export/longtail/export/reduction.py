"""A smaller encoder out of a checkpoint: fewer layers, shorter vectors, or both."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from longtail.export import dimensions, pruning
from longtail.export.checkpoint import Checkpoint, Pooling
from longtail.export.reference import Reference
from longtail.worker.vectors import Vectors
from numpy.typing import NDArray
from onnx import ModelProto

logger = logging.getLogger(__name__)

# Every layer is tried with all of them, again and again.
_PRUNING_TEXTS = 64


@dataclass(frozen=True)
class Wanted:
    """What to leave out: `layers` of the checkpoint's, and numbers of a vector past `dimension`."""

    layers: int = 0
    dimension: int | None = None


@dataclass(frozen=True)
class Reduced:
    """The checkpoint made smaller: what the export is made from, and held against.

    `projection` (whole, dimension) shortens the vectors; None cuts them at `dimension`.
    """

    reference: Reference
    whole: Reference
    dimension: int
    projection: NDArray[np.float32] | None

    @property
    def layers(self) -> int:
        """Return how many layers are left."""
        return pruning.layers(self.reference.model)

    @property
    def whole_layers(self) -> int:
        """Return how many layers the checkpoint has."""
        return pruning.layers(self.whole.model)

    @property
    def pooling(self) -> Pooling:
        """Return how the checkpoint pools."""
        return self.whole.pooling

    @property
    def is_smaller(self) -> bool:
        """Return whether anything is left out."""
        return self.reference is not self.whole or self._is_shorter

    @property
    def _is_shorter(self) -> bool:
        return self.dimension < self.whole.dimension

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return (len(texts), dimension) unit vectors of the texts as items."""
        vectors = self.reference.encode(texts)
        if not self._is_shorter:
            return vectors
        if self.projection is None:
            shorter = vectors[:, : self.dimension]
        else:
            shorter = vectors @ self.projection
        return np.asarray(shorter / np.linalg.norm(shorter, axis=1, keepdims=True))

    def shorten(self, graph: ModelProto) -> ModelProto:
        """Return `graph`, of the whole vectors, with its output shortened."""
        if not self._is_shorter:
            return graph
        return dimensions.append(graph, self.projection, self.dimension)

    def lift(self, vectors: Vectors) -> Vectors:
        """Return vectors (texts, dimension) where they lie among the whole ones."""
        if not self._is_shorter:
            return vectors
        return dimensions.lift(vectors, self.projection, self.whole.dimension)


def reduce(
    whole: Reference, checkpoint: Checkpoint, wanted: Wanted, texts: Sequence[str]
) -> Reduced:
    """Return the checkpoint without what is not wanted; `texts` show what it will miss least.

    A checkpoint that cuts its own vectors is cut as it says, unless `wanted` says otherwise.
    Raises ExportError when nothing would be left.
    """
    reference = whole
    if wanted.layers:
        sample = texts[:: max(1, len(texts) // _PRUNING_TEXTS)][:_PRUNING_TEXTS]
        kept = pruning.choose(whole.model, lambda: whole.encode(sample), wanted.layers)
        logger.info("keeping the layers %s", ", ".join(map(str, kept)))
        reference = whole.with_model(pruning.prune(whole.model, kept))
    dimension, projection = whole.dimension, None
    if wanted.dimension is not None:
        dimension = wanted.dimension
    elif checkpoint.truncate_dim is not None:
        dimension = checkpoint.truncate_dim
    if dimension != whole.dimension:
        dimensions.check(dimension, whole.dimension)
        if not checkpoint.matryoshka:
            projection = dimensions.fit_pca(reference.encode(texts), dimension)
    return Reduced(reference, whole, dimension, projection)
