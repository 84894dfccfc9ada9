"""What a request is after in a space of vectors beside the texts'."""

from dataclasses import dataclass

from longtail.server.catalogue.people import History
from longtail.server.catalogue.spaces.space import Space
from longtail.server.ranking.interest import (
    CancelledInterestError,
    Interest,
    Weighted,
    interests,
    interests_again,
)


@dataclass(frozen=True)
class InSpace:
    """What a request is after in `space`: its interests there, one or more, the largest first."""

    space: Space
    interests: tuple[Interest, ...]


def in_adapted(space: Space, examples: Weighted, history: History) -> InSpace | None:
    """Return what a request is after by adapted vectors; None where they say nothing.

    `examples`: those of items alone. A head knows what is liked together, not what words mean.
    """
    past = () if history.adapted is None else interests_again(history.adapted)
    if not past and not (examples.weights > 0).any():
        # To be far from something is no direction.
        return None
    try:
        found = interests(None, examples, past)
    except CancelledInterestError:
        return None
    return InSpace(space, found)
