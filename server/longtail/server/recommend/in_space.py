"""What a request is after in a space of vectors beside the texts'."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from longtail.server.catalogue.history import INTEREST_LENGTH
from longtail.server.catalogue.made import History
from longtail.server.catalogue.spaces.space import Space
from longtail.server.ranking.interest import (
    CancelledInterestError,
    Interest,
    Matrix,
    Vector,
    Weighted,
    interests,
    interests_again,
    like_parts,
    nearest_parts,
    past_interests,
)
from longtail.server.ranking.relevance import OF_SPACE
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class InSpace:
    """What a request is after in `space`: `directions` (m, d) there, the largest share first.

    `shares` (m,) add up to 1. `interests`: the same in a space of the caller's, with their parts.
    `proposes`: whether what is nearest to them is wanted. Where all there is pushes away, it only
    counts against what is near to that. `likes` (m, d): for a head, the vectors of what is liked,
    of which the first `examples` are examples.
    """

    space: Space
    directions: Matrix
    shares: Sequence[float]
    interests: tuple[Interest, ...] = ()
    proposes: bool = True
    likes: Matrix | None = None
    examples: int = 0

    @property
    def feature(self) -> str:
        """What the cosine is called among the features of relevance."""
        name = self.space.name
        return name if self.space.declared is None else f"{OF_SPACE}{name}"

    def parts(self, rows: Ints) -> Floats:
        """Return the parts (n, 3) of query, examples and history in how near `rows` (n,) are."""
        vectors = self.space.vectors(rows)
        if self.likes is None:
            return nearest_parts(vectors, self.interests)
        return like_parts(vectors, self.likes, self.examples)


def in_adapted(space: Space, rows: Ints, weights: Floats, history: History) -> InSpace | None:
    """Return what a request is after by adapted vectors; None where they say nothing.

    `rows` (m,), of which some may have no vector, and `weights` (m,): the examples that are items.
    A head knows what is liked together, not what words mean.
    """
    past = history.adapted
    latest = history.rows[:INTEREST_LENGTH]
    likes = space.vectors(latest[space.has(latest)])
    rows, weights = rows[space.has(rows)], weights[space.has(rows)]
    if not len(rows):
        if past is None or not len(past.weights):
            return None
        return InSpace(space, past.vectors.astype(np.float32), past.weights.tolist(), likes=likes)
    vectors, drawing = space.vectors(rows), weights > 0
    try:
        liked = () if past is None else interests_again(past)
        found = interests(None, Weighted(vectors, weights), liked)
    except CancelledInterestError:
        return None
    if not liked and not drawing.any():
        # To be far from something is no direction.
        return None
    return InSpace(
        space,
        *_directions(found),
        likes=np.concatenate((vectors[drawing], likes)),
        examples=int(drawing.sum()),
    )


def in_given(
    space: Space,
    own: Sequence[tuple[Vector, float]],
    rows: Ints,
    weights: Floats,
    history: History | None,
) -> InSpace | None:
    """Return what a request is after in a space of the caller's; None where nothing is said of it.

    Examples: `own`, vectors (d,) in the space with their weights, and the items in `rows` (m,), of
    which some may have none, with `weights` (m,). `history`: None where it says nothing here.
    Raises CancelledInterestError when the examples cancel each other.
    """
    having = space.has(rows)
    vectors = np.concatenate(
        (
            np.array([vector for vector, _ in own], np.float32).reshape(-1, space.dimension),
            space.vectors(rows[having]),
        )
    )
    examples = Weighted(vectors, np.array([*(weight for _, weight in own), *weights[having]]))
    past: tuple[Interest, ...] = ()
    if history is not None:
        known = space.has(history.latest)
        past = past_interests(Weighted(space.vectors(history.latest[known]), history.worth[known]))
    found = interests(None, examples, past)
    if not found:
        return None
    proposes = bool(past) or bool((examples.weights > 0).any())
    return InSpace(space, *_directions(found), found, proposes)


def _directions(found: Sequence[Interest]) -> tuple[Matrix, list[float]]:
    return np.stack([each.vector for each in found]), [each.share for each in found]
