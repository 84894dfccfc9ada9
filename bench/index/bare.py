"""hnswlib by itself, on the graph that the server built: nothing around it, and no lock beside."""

from collections.abc import Callable
from pathlib import Path

import hnswlib
import numpy as np
from longtail.server.catalogue.index.generation import GRAPH_FILE, Generation
from longtail.server.catalogue.index.graph import SPACE
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
Labels = NDArray[np.uint64]


def loaded(generation: Generation) -> Callable[[Matrix, int], object]:
    """Load the graph of a generation; what is returned searches the `k` nearest of a query (d,).

    The width of the search is that of the generation's parameters.
    """
    parameters = generation.parameters
    return graph_in(generation.folder / GRAPH_FILE, parameters.dimension, parameters.ef_search)


def graph_in(file: Path, dimension: int, ef: int) -> Callable[[Matrix, int], Labels]:
    """Load a graph; what is returned gives the labels (k,) of the `k` nearest of a query (d,)."""
    index = hnswlib.Index(space=SPACE, dim=dimension)
    index.load_index(str(file))
    index.set_ef(ef)

    def search(query: Matrix, k: int) -> Labels:
        labels: Labels = index.knn_query(query, k, num_threads=1)[0][0]
        return labels

    return search
