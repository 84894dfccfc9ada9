"""Vectors by label, as rows of one matrix.

hnswlib holds the same vectors, but hands them out one Python object at a time: 200 of them take
longer than finding them does.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]

FIRST_ROWS = 1024
GROWTH = 1.5


class VectorTable:
    """Vectors (d,) under labels. Changes need the table alone."""

    def __init__(self, dimension: int) -> None:
        self._matrix: Matrix = np.empty((FIRST_ROWS, dimension), np.float32)
        self._row_of: dict[int, int] = {}
        self._free: list[int] = []

    def __len__(self) -> int:
        return len(self._row_of)

    def labels(self) -> list[int]:
        """Return all labels, in the order in which they came."""
        return list(self._row_of)

    def labels_among(self, labels: Iterable[int]) -> set[int]:
        """Return those of `labels` that have a vector."""
        return {label for label in labels if label in self._row_of}

    def add(self, labels: Sequence[int], vectors: Matrix) -> None:
        """Add `vectors` (n, d) under new `labels` (n,)."""
        used = len(self._row_of) + len(self._free)
        missing = max(0, len(labels) - len(self._free))
        if used + missing > len(self._matrix):
            rows = max(used + missing, int(GROWTH * len(self._matrix)))
            grown = np.empty((rows, self._matrix.shape[1]), np.float32)
            grown[:used] = self._matrix[:used]
            self._matrix = grown
        self._free.extend(range(used + missing - 1, used - 1, -1))
        for label, vector in zip(labels, vectors, strict=True):
            row = self._free.pop()
            self._matrix[row] = vector
            self._row_of[label] = row

    def remove(self, label: int) -> None:
        """Remove a vector; its row is used again."""
        self._free.append(self._row_of.pop(label))

    def get(self, labels: Sequence[int]) -> Matrix:
        """Return the vectors (n, d) of `labels` (n,); KeyError for one that has none."""
        rows = np.fromiter((self._row_of[label] for label in labels), np.int64, len(labels))
        return self._matrix[rows]
