"""hnswlib by itself, on the graph that the server built: nothing around it, and no lock beside."""

from collections.abc import Callable

import hnswlib
import numpy as np
from longtail.server.catalogue.index.generation import GRAPH_FILE, Generation
from longtail.server.catalogue.index.graph import SPACE
from numpy.typing import NDArray

Matrix = NDArray[np.float32]


def loaded(generation: Generation) -> Callable[[Matrix, int], object]:
    """Load the graph of a generation; what is returned searches the `k` nearest of a query (d,).

    The width of the search is that of the generation's parameters.
    """
    index = hnswlib.Index(space=SPACE, dim=generation.parameters.dimension)
    index.load_index(str(generation.folder / GRAPH_FILE), max_elements=len(generation.table))
    index.set_ef(generation.parameters.ef_search)

    def search(query: Matrix, k: int) -> object:
        return index.knn_query(query, k, num_threads=1)

    return search
