"""How popular the things are that a person likes."""

from dataclasses import dataclass

import numpy as np
from longtail.server.ranking.popularity import PopularityScale
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Likes that the catalogue's own shares count for: a person of whom little is known is taken for
# an average one.
PRIOR_LIKES = 2.0


@dataclass(frozen=True)
class Taste:
    """Where a person's likes stand in popularity.

    `shares` (3,): of Bucket.HEAD, MID and TAIL, smoothed, adding up to 1. `popularity`: the mean of
    the relative log popularity. `likes`: how many likes that is made of; 0 of an unknown person.
    """

    shares: Floats
    popularity: float
    likes: int


def taste(mass: Floats, scale: PopularityScale) -> Taste:
    """Return the taste of who likes items of these masses (n,), n zero or more."""
    if not len(mass):
        return Taste(scale.usual, 0.0, 0)
    counts = np.bincount(scale.bucket(mass), minlength=len(scale.usual))
    shares = (counts + PRIOR_LIKES * scale.usual) / (len(mass) + PRIOR_LIKES)
    return Taste(shares, float(scale.relative_log(mass).sum() / len(mass)), len(mass))
