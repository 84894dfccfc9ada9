"""What is asked of the words of a catalogue, whoever keeps them."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from longtail.server.catalogue.scope import Scope
from longtail.server.catalogue.words.segment import Ints, Keys
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Sought(NamedTuple):
    """The words (m,) of a query that items hold, from the rarest on, and the rows with the best.

    `weights` (m,): how rare they are. `mean_length`: of all items, in words. `rows` (n,) come with
    their `scores` (n,), the best first.
    """

    words: tuple[str, ...]
    keys: Keys
    weights: Floats
    mean_length: float
    rows: Ints
    scores: Floats


class WordSearch(Protocol):
    """Finds rows by the words that they hold; any number of threads ask."""

    def search(self, words: Sequence[str], k: int, scope: Scope) -> Sought:
        """Return the `k` rows in `scope` that hold the most of `words`, fewer when fewer do.

        `words`: `distinct_words`. Rows with equal scores come in their order.
        """

    def parts(self, sought: Sought, rows: Ints) -> Floats:
        """Return what each of the words adds to the score of `rows` (n,), (m, n).

        It is zero where a row does not hold the word.
        """
