"""Which of the items that text, words, behaviour and popularity find become candidates."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, islice, pairwise

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

# What text has at least of the candidates: it alone knows the items that nobody has met with.
LEAST_TEXT = 0.1
# Reciprocal ranks are those of places so much further down, so that the first ones differ little.
FUSION_PLACES = 60


# What the adapted vectors may propose of what is left to vectors, where nothing else is said.
ADAPTED_SHARE = 0.5


@dataclass(frozen=True)
class Sources:
    """What behaviour and what popularity may propose of a history's candidates, 0 to 1.

    The rest, LEAST_TEXT or more, is for vectors: the texts', and `adapted`, 0 to 1, of it for those
    of a head, where there is one. `words`, 0 to 1: what the places by the words of a query count
    when its candidates are chosen; the rest is for the places by its meaning.
    """

    behaviour: float
    popularity: float
    words: float
    adapted: float = ADAPTED_SHARE

    def rooms(self, size: int) -> tuple[int, int]:
        """Return how many of `size` candidates behaviour and popularity may propose."""
        return int(size * self.behaviour), int(size * self.popularity)


def merged(
    size: int,
    sources: Sources,
    behaviour: Iterable[int],
    popular: Iterable[int],
    texts: Sequence[Iterable[int]],
    shares: Sequence[float],
) -> Ints:
    """Return at most `size` candidates, each once.

    `behaviour`, `popular` and each of `texts` give rows, the best first, and are read no further
    than needed; a list of `texts` for each interest, by the texts' vectors or by others. `shares`:
    of each of them in what is wanted, adding up to 1. Whatever one of them cannot fill goes to the
    others.
    """
    taken: dict[int, None] = {}
    # Iterators: each is read on from where it was left.
    led_to, known, near = iter(behaviour), iter(popular), [iter(rows) for rows in texts]
    of_behaviour, of_popularity = sources.rooms(size)
    _take(taken, led_to, of_behaviour)
    _take(taken, known, of_popularity)
    for rows, room in zip(near, _rooms(size - len(taken), shares), strict=True):
        _take(taken, rows, room)
    for rows in (*near, led_to, known):
        _take(taken, rows, size - len(taken))
    return np.array(list(taken), np.int64)


def fused(near: Iterable[int], words: Sequence[int], size: int, share: float) -> Iterator[int]:
    """Return what the meaning of a query and its words lead to, then the rest of `near`.

    The first `size` of `near` and `words`, the best of each first, are put in the order of the sum
    of 1 / (60 + place), that of words weighed by `share` and that of meaning by the rest of 1:
    reciprocal rank fusion (Cormack, Clarke and Buettcher, SIGIR 2009).
    """
    rest = iter(near)
    found = [np.array(list(islice(rest, size)), np.int64), np.array(words, np.int64)]
    rows = np.concatenate(found)
    worth = np.concatenate(
        [
            weight / (FUSION_PLACES + 1 + np.arange(len(each)))
            for weight, each in zip((1 - share, share), found, strict=True)
        ]
    )
    # Each row once, with the sum of its worth in both.
    order = np.argsort(rows, kind="stable")
    rows = rows[order]
    first = np.ones(len(rows), np.bool_)
    np.not_equal(rows[1:], rows[:-1], out=first[1:])
    if len(rows):
        rows, worth = rows[first], np.add.reduceat(worth[order], first.nonzero()[0])
    return chain(rows[np.lexsort((rows, -worth))].tolist(), rest)


def _take(taken: dict[int, None], rows: Iterator[int], room: int) -> None:
    """Add up to `room` of `rows` that are not there yet."""
    enough = len(taken) + room
    while (missing := enough - len(taken)) > 0:
        found = dict.fromkeys(islice(rows, missing))
        if not found:
            return
        taken |= found


def _rooms(size: int, shares: Sequence[float]) -> list[int]:
    ends = [round(size * end) for end in accumulate(shares)]
    return [end - start for start, end in pairwise((0, *ends))]
