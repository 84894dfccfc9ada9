"""What is asked of an engine: collections of vectors under row numbers, and the nearest of one."""

from collections.abc import Callable, Sequence
from typing import Protocol

from longtail.runtime.errors import Unavailable
from longtail.server.catalogue.index.graph import IndexParameters, Matrix, Rows

# A search that takes longer is given up: the rows are compared one by one instead.
SEARCH_SECONDS = 0.5
# Connecting, and whatever else is no search and does not grow with the catalogue.
CALL_SECONDS = 5.0


class EngineError(Unavailable):
    """An engine does not answer, or not as it should; the message shows no password."""


class CollectionLost(EngineError):
    """A collection that was there is gone."""


class Backend(Protocol):
    """One engine. Any number of threads search; one at a time does the rest.

    Each method raises EngineError, and CollectionLost where a collection is not there.
    """

    @property
    def kind(self) -> str:
        """What tells the engine's generations from others."""

    def prepare(self) -> None:
        """See that collections can be made, and have there what that takes."""

    def create(self, name: str, parameters: IndexParameters) -> None:
        """Make an empty collection, in place of any that has its name."""

    def append(self, name: str, rows: Rows, revisions: Rows, vectors: Matrix) -> None:
        """Add unit `vectors` (n, d) as `rows` (n,), each with its revision."""

    def finish(self, name: str, parameters: IndexParameters, waiting: Callable[[], None]) -> None:
        """Return when all that was added is found by searches.

        `waiting` is called several times a second; what it raises ends the work.
        """

    def revision(self, name: str, row: int) -> int | None:
        """Return the revision of a row, None where there is no such row."""

    def reaches(self, name: str, row: int) -> bool:
        """Say whether there is any row from `row` on."""

    def search(self, name: str, vectors: Matrix, k: int, width: int) -> Sequence[Rows]:
        """Return about the `k` rows nearest to each of `vectors` (n, d), in SEARCH_SECONDS.

        `width`: how many the search keeps in view (ef), where it is more than `k`.
        """

    def collections(self, prefix: str) -> list[str]:
        """Return the names of the collections that begin with `prefix`."""

    def drop(self, name: str) -> None:
        """Drop a collection, if it is there."""

    def close(self) -> None:
        """Give up all connections."""
