"""The answer to a request: the list, and all that an explanation needs."""

from dataclasses import dataclass
from itertools import compress
from typing import NamedTuple

import numpy as np
from longtail.server.ranking.listing import Listing
from longtail.server.ranking.quota import Prices
from longtail.server.recommend.context import Ints, RequestContext
from longtail.server.recommend.request import Policy
from longtail.server.recommend.scoring import Candidates


class Moments(NamedTuple):
    """When an answer had come so far, in seconds of `time.perf_counter`.

    `ranking` begins later than `found` where the list under another policy was made between them.
    """

    begun: float
    understood: float
    found: float
    ranking: float
    ranked: float


@dataclass(frozen=True)
class Answer:
    """A list, the candidates it was chosen from, and what was asked. `listing`: None when empty.

    `copies`: items were left out for being the same as a candidate. `policy`: of the list, the
    request's or one that it is compared with. `profile`: version of the ranking profile.
    """

    context: RequestContext
    candidates: Candidates
    policy: Policy
    prices: Prices
    listing: Listing | None
    copies: bool
    intra_list_diversity: float
    profile: str
    moments: Moments

    @property
    def search_seconds(self) -> float:
        """What it took to find the candidates."""
        return self.moments.found - self.moments.begun

    @property
    def ranking_seconds(self) -> float:
        """What it took to make the list of them."""
        return self.moments.ranked - self.moments.ranking

    @property
    def offset(self) -> int:
        """Results on the pages before."""
        frozen = self.context.request.frozen
        return 0 if frozen is None else frozen.shown

    @property
    def chosen(self) -> Ints:
        """Positions of the results among the candidates, in their order."""
        return np.empty(0, np.int64) if self.listing is None else self.listing.chosen

    @property
    def remaining(self) -> tuple[str, ...]:
        """Candidates that neither this page nor one before it shows, in their order."""
        shown = np.zeros(len(self.candidates.ids), np.bool_)
        shown[self.chosen] = True
        return tuple(compress(self.candidates.ids, (~shown).tolist()))
