"""Which of the items that text and behaviour find become candidates."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# The share of the candidates that behaviour may propose; the rest is for the text, which alone
# knows the items that nobody has met with.
BEHAVIOUR_SHARE = 0.5


def merged(size: int, behaviour: Ints, texts: Sequence[Ints], shares: Sequence[float]) -> Ints:
    """Return at most `size` candidates, each once.

    `behaviour` (m,) and each of `texts` are rows, the best first; `shares`: of each of `texts` in
    what is wanted, adding up to 1. Whatever one of them cannot fill goes to the others.
    """
    taken: dict[int, None] = dict.fromkeys(behaviour[: int(size * BEHAVIOUR_SHARE)].tolist())
    for rows, room in zip(texts, _rooms(size - len(taken), shares), strict=True):
        _take(taken, rows, room)
    for rows in (*texts, behaviour):
        _take(taken, rows, size - len(taken))
    return np.fromiter(taken, np.int64, len(taken))


def _take(taken: dict[int, None], rows: Ints, room: int) -> None:
    """Add up to `room` of `rows` that are not there yet."""
    enough = len(taken) + room
    for row in rows.tolist():
        if len(taken) >= enough:
            return
        taken[row] = None


def _rooms(size: int, shares: Sequence[float]) -> list[int]:
    ends = np.round(size * np.cumsum(shares)).astype(int)
    return np.diff(ends, prepend=0).tolist() if len(ends) else []
