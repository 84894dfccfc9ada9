"""Heads that are small linear maps."""

from dataclasses import dataclass

import numpy as np
from longtail.server.catalogue.index.vector_file import Matrix

from tests.unit.server.catalogues import DIMENSION


@dataclass(frozen=True, eq=False)
class LinearHead:
    """Multiplies by a matrix (d, d), and brings what comes of it to length 1."""

    version: str
    matrix: Matrix

    def adapted(self, vectors: Matrix) -> Matrix:
        found = vectors @ self.matrix
        unit: Matrix = found / np.linalg.norm(found, axis=1, keepdims=True)
        return unit


def head(seed: int) -> LinearHead:
    matrix = np.random.default_rng(seed).normal(size=(DIMENSION, DIMENSION))
    return LinearHead(f"linear {seed}", matrix.astype(np.float32))
