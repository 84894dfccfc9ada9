"""How good vectors are at queries in words that nothing was learned from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from longtail.worker.tokenizer import Role
from longtail.worker.vectors import Vectors
from numpy.typing import NDArray

from evaluation.metrics import Truth
from evaluation.query_source import Queries

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

# Returns the unit vectors of texts.
Encode = Callable[[Sequence[str], Role], Vectors]

PLACES = 10
# Queries whose cosines to all items are held at a time.
BLOCK = 256


@dataclass(frozen=True)
class Judgement:
    """Queries (Q,), and the items (I,) among which what is relevant to them is looked for.

    `truth`: which of these items that is.
    """

    queries: Sequence[str]
    items: Sequence[str]
    truth: Truth

    def scores(self, encode: Encode) -> Floats:
        """Return the graded NDCG of the first ten items by cosine, of each query, (Q,)."""
        items, queries = encode(self.items, Role.ITEM), encode(self.queries, Role.QUERY)
        lists = [
            np.argsort(-(queries[start : start + BLOCK] @ items.T), axis=1)[:, :PLACES]
            for start in range(0, len(queries), BLOCK)
        ]
        return self.truth.ndcg(np.concatenate(lists))


def judgement(
    queries: Queries, chosen: Ints, items: Sequence[str], others: int, random: np.random.Generator
) -> Judgement:
    """Return the judgement by the `chosen` queries over what is relevant to them, and `others`."""
    truth = queries.truth(chosen)
    relevant = np.unique(truth.items)
    rest = np.setdiff1d(np.arange(len(items)), relevant)
    among = np.union1d(relevant, random.permutation(rest)[:others])
    return Judgement(
        [queries.texts[at] for at in chosen],
        [items[at] for at in among],
        replace(truth, items=np.searchsorted(among, truth.items)),
    )


def parts_of(queries: Queries, random: np.random.Generator) -> tuple[Ints, Ints, Ints]:
    """Return which queries are learned from, which say when to stop, and which judge, ascending."""
    order = random.permutation(len(queries.ids))
    tenth = max(1, len(order) // 10)
    return (
        np.sort(order[4 * tenth :]),
        np.sort(order[: 2 * tenth]),
        np.sort(order[2 * tenth : 4 * tenth]),
    )
