"""A catalogue with shelves that texts do not show: of each the same people like what is on it."""

from functools import lru_cache

import numpy as np
from longtail.server.ranking.head.fitting import Material
from longtail.server.ranking.head.pairs import Likes
from numpy.typing import NDArray

ITEMS, PEOPLE, LIKED, DIMENSION = 640, 240, 12, 32
TOPICS, SHELVES = 32, 4


def topics() -> NDArray[np.int64]:
    """Return the topic of each item, (ITEMS,)."""
    return np.arange(ITEMS) % TOPICS


def shelf() -> NDArray[np.int64]:
    """Return the shelf of each item, (ITEMS,); those of a topic stand on one."""
    return topics() % SHELVES


@lru_cache
def material(seed: int = 0, *, by_shelf: bool = True) -> Material:
    """Return vectors by topic, and people who like what is on one shelf, or just anything."""
    random = np.random.default_rng(seed)
    directions = random.normal(size=(TOPICS, DIMENSION))
    vectors = directions[topics()] + 0.4 * random.normal(size=(ITEMS, DIMENSION))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    likes = []
    for person in range(PEOPLE):
        fits = shelf() == person % SHELVES
        among = np.flatnonzero(fits) if by_shelf else np.arange(ITEMS)
        likes.append(random.choice(among, LIKED, replace=False).astype(np.int32).tobytes())
    names = [f"i{item}" for item in range(ITEMS)]
    return Material("invented", vectors.astype(np.float32), names, Likes.of(likes, ITEMS))
