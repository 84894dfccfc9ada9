"""The bare parts of a request, in this process: its searches and the ranking arithmetic.

What goes into them is made beforehand; they give seconds of processor time.
"""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from longtail.server.ranking.evidence import Evidence, PoolScale, features
from longtail.server.ranking.interest import Weighted, past_interests
from longtail.server.ranking.listing import Order, compose
from longtail.server.ranking.popularity import PopularityScale
from longtail.server.ranking.profile import Context, default_profile
from longtail.server.ranking.quota import Candidates, Limits
from longtail.server.ranking.taste import taste
from longtail.server.settings import Settings
from numpy.typing import NDArray

from bench.context import Matrix
from bench.request.homes import Large
from bench.state import bare_search
from bench.texts import SEED

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# The latest likes that make the interests of a person, and the places of a list.
_LATEST, _PLACES = 50, 10


class Parts:
    """What a request on the large catalogue needs, whatever is around it."""

    def __init__(self, large: Large, home: Path) -> None:
        settings = Settings()
        self._large = large
        self._size, self._strength = settings.candidates, settings.strength
        self._mass = np.array(large.catalogue.priors)
        self._scale = PopularityScale(self._mass)
        self._profile = default_profile()
        self._search = bare_search(home, large.vectors.shape[1])

    def of_person(self, number: int) -> tuple[float, float]:
        """Return the time of searches and of ranking for one of the invented people."""
        likes = self._large.likes[number]
        liked = self._large.vectors[likes][::-1][:_LATEST]
        directions = [each.vector for each in past_interests(Weighted(liked, np.ones(len(liked))))]
        # What was seen already may take places among the nearest.
        return self._of(directions, self._size + len(likes), np.array(likes), Context.HISTORY)

    def of_query(self, vector: Matrix) -> tuple[float, float]:
        """Return the time of the search and of ranking for a text's vector (d,)."""
        return self._of([vector], self._size, np.empty(0, np.int64), Context.QUERY)

    def _of(
        self, directions: Sequence[Matrix], k: int, likes: Ints, context: Context
    ) -> tuple[float, float]:
        started = time.thread_time()
        found = [self._search(direction, k) for direction in directions]
        searching = time.thread_time() - started
        rows = np.unique(np.concatenate(found).astype(np.int64))
        rows = np.setdiff1d(rows, likes)[: self._size]
        return searching, self._ranking(rows, directions, likes, context)

    def _ranking(
        self, rows: Ints, directions: Sequence[Matrix], likes: Ints, context: Context
    ) -> float:
        random = np.random.default_rng(SEED)
        mass = self._mass[rows]
        led = random.random((2, len(rows))) if len(likes) else np.zeros((2, len(rows)))
        evidence = Evidence(
            text=(self._large.vectors[rows] @ np.stack(directions).T).max(axis=1).astype(float),
            behaviour=led[0],
            recent=led[1],
            aversion=np.zeros(len(rows)),
            words=np.zeros(len(rows)),
            adapted=np.zeros(len(rows)),
            support=5 * led[0],
            popularity=self._scale.relative_log(mass),
            bucket=self._scale.bucket(mass),
        )
        theirs = taste(self._mass[likes], self._scale)
        model, dial = self._profile.models[context], self._profile.dials[context]
        order = Order(_PLACES, dial.prices(self._strength), Limits(), {})
        rarity, shares = random.random(len(rows)), theirs.shares if len(likes) else None
        started = time.thread_time()
        values = features(evidence, theirs, PoolScale.of(evidence))
        relevance = model.probability(values)
        expected = float(relevance.sum()) / self._profile.reach
        bucket = evidence.bucket
        compose(Candidates(relevance, bucket, rarity, taste=shares, expected=expected), order)
        return time.thread_time() - started
