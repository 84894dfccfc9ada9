"""The answer to a wish: the list, and all that an explanation needs."""

from dataclasses import dataclass

from longtail.server.catalogue.scope import Scope
from longtail.server.catalogue.state import CatalogueState
from longtail.server.ranking.listing import Listing
from longtail.server.ranking.quota import Prices
from longtail.server.recommend.pool import Floats, Pool
from longtail.server.recommend.request import Wish


@dataclass(frozen=True)
class Answer:
    """A list, the pool it was chosen from, and what was left out. `listing` is None when empty.

    `offset`: results on the pages before. `remaining`: candidates that neither this page nor one
    before it shows, in the order of the pool. `profile`: version of the ranking profile.
    """

    state: CatalogueState
    scope: Scope
    wish: Wish
    pool: Pool
    prices: Prices
    listing: Listing | None
    offset: int
    remaining: tuple[str, ...]
    seen: frozenset[str]
    missing: tuple[str, ...]
    profile: str
    intra_list_diversity: float
    search_seconds: float
    ranking_seconds: float


@dataclass(frozen=True)
class Placed:
    """Any item of the catalogue on the scale of an answer's pool.

    `parts` (3,): of the cosine to the nearest interest. `features` (len(FEATURES),).
    """

    parts: Floats
    features: Floats
    behaviour: float
    estimate: float
    rule_factor: float
    penalty: float
    rotation: float
    relevance: float
    mass: float
