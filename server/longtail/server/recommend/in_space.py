"""What a request is after in a space of vectors beside the texts'."""

from dataclasses import dataclass

import numpy as np
from longtail.server.catalogue.history import INTEREST_LENGTH
from longtail.server.catalogue.people import History
from longtail.server.catalogue.spaces.space import Space
from longtail.server.ranking.interest import (
    CancelledInterestError,
    Interest,
    Matrix,
    Weighted,
    interests,
    interests_again,
)


@dataclass(frozen=True)
class InSpace:
    """What a request is after in `space`: its interests there, one or more, the largest first.

    `likes` (m, d): the vectors of what is liked, of which the first `examples` are examples.
    """

    space: Space
    interests: tuple[Interest, ...]
    likes: Matrix
    examples: int


def in_adapted(space: Space, examples: Weighted, history: History) -> InSpace | None:
    """Return what a request is after by adapted vectors; None where they say nothing.

    `examples`: those of items alone. A head knows what is liked together, not what words mean.
    """
    liked = () if history.adapted is None else interests_again(history.adapted)
    if not liked and not (examples.weights > 0).any():
        # To be far from something is no direction.
        return None
    try:
        found = interests(None, examples, liked)
    except CancelledInterestError:
        return None
    wanted = examples.vectors[examples.weights > 0].astype(np.float32)
    past = space.vectors(history.rows[:INTEREST_LENGTH])
    return InSpace(space, found, np.concatenate((wanted, past)), len(wanted))
