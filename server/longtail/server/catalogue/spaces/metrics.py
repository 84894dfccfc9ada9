"""What spaces of vectors take, told by metrics."""

from collections.abc import Mapping

from longtail.server.catalogue.spaces.space import Space
from prometheus_client import Gauge

ROWS = Gauge("longtail_space_rows", "Items that have a vector in a space.", ["space"])
BYTES = Gauge("longtail_space_bytes", "Memory of a space's graph and delta.", ["space"])


class SpaceMetrics:
    """Tells of the spaces of one catalogue, and forgets those that have gone."""

    def __init__(self) -> None:
        self._told = frozenset[str]()

    def tell(self, spaces: Mapping[str, Space]) -> None:
        """Tell of all spaces that there are."""
        for gone in self._told - spaces.keys():
            ROWS.remove(gone)
            BYTES.remove(gone)
        for name, space in spaces.items():
            _tell(name, space)
        self._told = frozenset(spaces)


def _tell(name: str, space: Space) -> None:
    # Looked at when they are read: a graph goes through its rows to say how large it is.
    ROWS.labels(name).set_function(lambda: space.live_count)
    BYTES.labels(name).set_function(lambda: space.index.nbytes)
