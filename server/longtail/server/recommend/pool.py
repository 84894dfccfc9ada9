"""The candidates of one request and all that is known about them."""

from dataclasses import dataclass

import numpy as np
from longtail.server.ranking.evidence import Evidence, PoolScale
from longtail.server.ranking.interest import Interest
from longtail.server.ranking.popularity import PopularityScale
from longtail.server.ranking.profile import Context
from longtail.server.ranking.relevance import RelevanceModel
from longtail.server.ranking.taste import Taste
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Matrix = NDArray[np.float32]

# Of what was liked, but is no example.
NO_POSITION = -1


@dataclass(frozen=True)
class Liked:
    """What was liked, of a history or as an example: m vectors (m, d) and where they come from.

    `item_ids` are empty, and `rows` NO_ROW, for texts and vectors; `positions` are those of the
    request's examples, NO_POSITION for items of the history.
    """

    item_ids: tuple[str, ...]
    rows: Ints
    positions: tuple[int, ...]
    vectors: Matrix


@dataclass(frozen=True)
class Pool:
    """The candidates of one request, n of them; all arrays start with (n,).

    `rows`: in the columns of the state. `mass`: popularity, to be placed on `popularity_scale`.
    `parts` (n, 3): the parts of query, examples and history in the cosine to the nearest of
    `interests`. `features` (n, len(FEATURES)) on `scale`, `estimate`: P(relevant) by `model`.
    `rule_factor`, `penalty` and `rotation` make `relevance` of it. `rarity`: 0 to 1, how seldom the
    item is shown. `taste` is that of the person, of an unknown one without a history.
    """

    ids: list[str]
    rows: Ints
    vectors: Matrix
    mass: Floats
    popularity_scale: PopularityScale
    interests: tuple[Interest, ...]
    parts: Floats
    evidence: Evidence
    scale: PoolScale
    features: Floats
    context: Context
    model: RelevanceModel
    taste: Taste
    estimate: Floats
    rule_factor: Floats
    penalty: Floats
    rotation: Floats
    relevance: Floats
    rarity: Floats
    liked: Liked
