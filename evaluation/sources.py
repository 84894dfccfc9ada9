"""What each source of candidates is worth: how much of what was relevant it would propose."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from longtail.server.catalogue.history import HISTORY_LENGTH, INTEREST_LENGTH
from longtail.server.ranking.retrieval import LEAST_TEXT, Sources

from evaluation.dataset import Dataset, Mask
from evaluation.requests import proposals
from evaluation.world import Floats, Ints, World

_Tried = TypeVar("_Tried")

# People whose candidates are looked at, and the steps in which shares are tried.
PEOPLE, STEP = 300, 0.1
# Shares that find so much less than the best are as good; the nearest to the usual ones are taken.
AS_GOOD = 0.01
# What words are tried to count. At either end a few candidates are those of the other, which may
# know what it does not.
WORDS = (0.2, 0.35, 0.5, 0.65, 0.8)


@dataclass(frozen=True)
class Places:
    """Where each source has the m items that people liked later: 0 is its first proposal.

    `vectors` (m,): divided by the share of the interest that has it first.
    """

    behaviour: Floats
    popularity: Floats
    vectors: Floats

    def found(self, sources: Sources, size: int) -> float:
        """Return the share of the items that are among `size` candidates."""
        behaviour, popularity = sources.rooms(size)
        held = self.behaviour < behaviour
        held |= self.popularity < popularity
        held |= self.vectors < size - behaviour - popularity
        return float(held.mean())


def fitted_sources(
    world: World, data: Dataset, wanted: Mask, pool: int, seed: int, usual: Sources
) -> Sources:
    """Return the shares with which most of what people liked in `wanted` (m,) is proposed.

    `usual` stands where others find hardly more.
    """
    places = _places(world, data, wanted, seed, usual)
    if not len(places.vectors):
        return usual
    steps = [round(STEP * step, 3) for step in range(round((1 - LEAST_TEXT) / STEP) + 1)]
    tried = [
        replace(usual, behaviour=behaviour, popularity=popularity)
        for behaviour in steps
        for popularity in steps
        if behaviour + popularity <= 1 - LEAST_TEXT + STEP / 2
    ]
    found = [places.found(sources, pool) for sources in tried]
    return min(_good(tried, found), key=lambda sources: _distance(sources, usual))


def fitted_words(found: Callable[[float], float], usual: float) -> float:
    """Return what words count with which most of what is relevant to queries is a candidate.

    `found`: the share that is one at what words count. `usual` stands where others find hardly
    more.
    """
    return min(
        _good(WORDS, [found(share) for share in WORDS]), key=lambda share: abs(share - usual)
    )


def _good(tried: Sequence[_Tried], found: Sequence[float]) -> list[_Tried]:
    """Return what finds hardly less than the best of those that were tried."""
    enough = max(found) * (1 - AS_GOOD)
    return [each for each, share in zip(tried, found, strict=True) if share >= enough]


def _places(world: World, data: Dataset, wanted: Mask, seed: int, usual: Sources) -> Places:
    rows = np.flatnonzero(wanted)
    people = np.random.default_rng(seed).permutation(np.unique(data.users[rows]))
    found: list[tuple[Floats, Floats, Floats]] = []
    for user in people.tolist():
        past = world.past(user).latest(HISTORY_LENGTH)
        if not len(past.latest(INTEREST_LENGTH).likes):
            continue
        later = np.setdiff1d(data.items[rows[data.users[rows] == user]], past.seen)
        made = proposals(world, past)
        led_to = np.where(made.scores[0] > 0, made.scores[0], -np.inf)
        near = np.concatenate((made.cosines, made.adapted_cosines), axis=1)
        of_vectors = [
            _place(cosines, made.fresh, later) / share
            for cosines, share in zip(near.T, made.shares(usual), strict=True)
            if share
        ]
        found.append(
            (
                _place(led_to, made.fresh, later),
                _place(world.popularity, made.fresh, later),
                np.min(of_vectors, axis=0),
            )
        )
        if len(found) == PEOPLE:
            break
    if not found:
        return Places(*(np.empty(0) for _ in range(3)))
    return Places(*(np.concatenate(column) for column in zip(*found, strict=True)))


def _place(scores: Floats, fresh: Mask, items: Ints) -> Floats:
    """Return how many other fresh items score no less than each of `items` (n,), as (n,)."""
    ordered = np.sort(scores[fresh])
    # Of equals it comes last: others may be proposed before it.
    before = len(ordered) - 1 - ordered.searchsorted(scores[items], side="left")
    # What a source does not know it never proposes.
    return np.where(np.isfinite(scores[items]), before, np.inf).astype(np.float64)


def _distance(one: Sources, other: Sources) -> float:
    return abs(one.behaviour - other.behaviour) + abs(one.popularity - other.popularity)
