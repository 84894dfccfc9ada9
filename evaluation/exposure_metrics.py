"""What lists show, whoever finds it relevant: by popularity, by spread and by variety."""

import numpy as np
from longtail.server.ranking.popularity import Bucket
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Matrix = NDArray[np.float32]

# Users by the share of the head in what they like: the least of it, between, the most.
NICHE_SHARE = 0.2
BLOCKBUSTER_SHARE = 0.2


def bucket_shares(buckets: NDArray[np.int8]) -> Floats:
    """Return the share of each Bucket in each row of `buckets` (U, K), as (U, 3)."""
    return np.stack([(buckets == bucket).mean(axis=1) for bucket in Bucket], axis=1)


def entropy(shares: Floats) -> Floats:
    """Return the entropy in bits of each row of `shares` (U, G), as (U,)."""
    present = np.where(shares > 0, shares, 1.0)
    bits: Floats = -(present * np.log2(present)).sum(axis=1)
    return bits


def jensen_shannon(first: Floats, second: Floats) -> Floats:
    """Return the divergence in bits, 0 to 1, between rows of shares (U, G), as (U,).

    The divergence itself, of which the Jensen-Shannon distance is the square root.
    """
    apart = entropy((first + second) / 2) - (entropy(first) + entropy(second)) / 2
    return np.maximum(apart, 0.0)


def taste_groups(taste: Floats) -> tuple[Ints, ...]:
    """Return the users of niche, diverse and blockbuster taste, of `taste` (U, 3).

    Users are lined up by the share of the head, equals by falling share of the tail: the first
    20 % are niche, the last 20 % blockbuster-focused. Abdollahpouri, Mansoury, Burke and Mobasher,
    "The Unfairness of Popularity Bias in Recommendation" (RMSE workshop, RecSys 2019).
    """
    n = len(taste)
    order = np.lexsort((-taste[:, Bucket.TAIL], taste[:, Bucket.HEAD]))
    niche, blockbuster = round(NICHE_SHARE * n), round((1 - BLOCKBUSTER_SHARE) * n)
    return order[:niche], order[niche:blockbuster], order[blockbuster:]


def variety(vectors: Matrix, lists: Ints) -> Floats:
    """Return the mean of 1 - cosine over all pairs in each row of `lists` (U, K), as (U,).

    `vectors` (I, d): unit rows. Zero for K below two.
    """
    k = lists.shape[1]
    if k < 2:
        return np.zeros(len(lists))
    # The sum over ordered pairs is the squared length of the sum. Place by place: the vectors of
    # all places at once would not fit into memory.
    total = np.zeros((len(lists), vectors.shape[1]))
    alone = np.zeros(len(lists))
    for place in range(k):
        shown = vectors[lists[:, place]]
        total += shown
        alone += np.einsum("ud,ud->u", shown, shown, dtype=np.float64)
    pairs = np.einsum("ud,ud->u", total, total) - alone
    distances: Floats = 1 - pairs / (k * (k - 1))
    return distances
