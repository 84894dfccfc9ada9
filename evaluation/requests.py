"""The requests of an evaluation: of each person a pool, evidence, and what they liked later."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from longtail.server.catalogue.history import HISTORY_LENGTH, INTEREST_LENGTH
from longtail.server.ranking.evidence import FEATURES, Evidence, PoolScale, features, observed
from longtail.server.ranking.interest import (
    Interest,
    Matrix,
    Weighted,
    like_parts,
    nearest_parts,
    past_interests,
)
from longtail.server.ranking.retrieval import Sources, merged
from longtail.server.ranking.taste import taste
from longtail.server.recommend.context import HALF_LIFE, RECENT_HALF_LIFE
from numpy.typing import NDArray

from evaluation.dataset import Dataset, DatasetError, Mask
from evaluation.metrics import Truth
from evaluation.world import Floats, Ints, Past, World

# Who has so little left to recommend that they are among this share of people is not asked: one who
# has met with everything would make the pools of all others small.
SATED_SHARE = 0.05
# Breaks the ties of items that behaviour does not lead to, by their text.
TIE = 1e-6


@dataclass(frozen=True)
class Requests:
    """U requests with n candidates each.

    `users` (U,), `items` (U, n): catalogue positions. `features` (U, n, len(FEATURES)). `raw`
    (U, n): the score of behaviour, ties broken by the text. `taste` (U, 3), `likes` (U,): of each
    person. `truth`: the relevant items of the period that is asked about, in a pool or not.
    """

    users: Ints
    items: Ints
    features: NDArray[np.float32]
    raw: Floats
    taste: Floats
    likes: Ints
    truth: Truth

    @property
    def relevant(self) -> NDArray[np.bool_]:
        """Whether each candidate turned out relevant, (U, n)."""
        return self.truth.hits(self.items)


def requests(
    world: World,
    data: Dataset,
    wanted: Mask,
    pool: int,
    most: int,
    seed: int,
    sources: Sources,
    progress: Callable[[int, int], None],
    among: Mask | None = None,
) -> Requests:
    """Return the requests of people who have liked something and like something new in `wanted`.

    `wanted` (m,): the likes of the period that is asked about. At most `most` people, drawn from
    `seed`, in the order in which they come. Pools are `pool` items, or as many as nearly all can
    have, from `sources`; who cannot is left out. `among` (I,): the items that are asked for, as by
    a filter; None: all. Raises DatasetError when nobody is left.
    """
    among = np.ones(world.items, np.bool_) if among is None else among
    rows = np.flatnonzero(wanted)
    rows = rows[np.argsort(data.users[rows], kind="stable")]
    people = np.unique(data.users[rows])
    drawn = np.random.default_rng(seed).permutation(people)
    asked, size = _asked(world, drawn, among, pool, most)
    shape = (len(asked), size)
    items, raw = np.empty(shape, np.int64), np.empty(shape)
    values = np.empty((*shape, len(FEATURES)), np.float32)
    tastes, likes, truths = np.empty((len(asked), 3)), np.empty(len(asked), np.int64), []
    starts = np.searchsorted(data.users[rows], np.arange(len(data.user_ids) + 1))
    for at, user in enumerate(asked):
        past = world.past(user)
        recent = past.latest(HISTORY_LENGTH)
        items[at], evidence = _pool(world, recent, among, size, sources)
        mind = taste(world.popularity[recent.likes], world.scale)
        values[at] = features(evidence, mind, PoolScale.of(evidence))
        raw[at] = evidence.behaviour + TIE * evidence.text
        # Whatever a request goes by, lists are judged by all that the person liked.
        profile = taste(world.popularity[past.likes], world.scale)
        tastes[at], likes[at] = profile.shares, profile.likes
        new = np.setdiff1d(data.items[rows[starts[user] : starts[user + 1]]], past.seen)
        truths.append(new)
        progress(at + 1, len(asked))
    offsets = np.concatenate(([0], np.cumsum([len(new) for new in truths])))
    truth = Truth(offsets, np.concatenate(truths))
    return Requests(np.array(asked), items, values, raw, tastes, likes, truth)


def _asked(world: World, drawn: Ints, among: Mask, pool: int, most: int) -> tuple[list[int], int]:
    """Return who is asked about, in the order of `drawn`, and the size of their pools."""
    pasts = ((user, world.past(user)) for user in drawn.tolist())
    known = [(user, past) for user, past in pasts if len(past.latest(INTEREST_LENGTH).likes)]
    offered = int(among.sum())
    unseen = {user: offered - int(among[past.seen].sum()) for user, past in known[:most]}
    if not unseen:
        raise DatasetError("nobody who liked something before liked something in the period")
    size = min(pool, int(np.quantile(list(unseen.values()), SATED_SHARE)))
    if size < 1:
        raise DatasetError("people have met with all items: there is nothing to recommend")
    return [user for user, left in unseen.items() if left >= size], size


@dataclass(frozen=True)
class Proposals:
    """What each source makes of all I items for a person.

    `cosines` (I, interests) to each of `interests`; `adapted`: the interests by the vectors of a
    head, and `adapted_cosines` to them, none without one. `scores` (2, I) of behaviour; `fresh`
    (I,): whether an item may be proposed.
    """

    interests: Sequence[Interest]
    cosines: Matrix
    adapted: Sequence[Interest]
    adapted_cosines: Matrix
    scores: Floats
    fresh: Mask

    def shares(self, sources: Sources) -> list[float]:
        """Return what each interest, then each adapted one, may propose of what vectors may."""
        shares = [interest.share for interest in self.interests]
        if not self.adapted:
            return shares
        return [
            *((1 - sources.adapted) * share for share in shares),
            *(sources.adapted * interest.share for interest in self.adapted),
        ]


def proposals(world: World, past: Past) -> Proposals:
    """Return what a person's `past` leads to."""
    late = past.latest(INTEREST_LENGTH)
    wanted, cosines = _interests(world.vectors, late)
    adapted, adapted_cosines = (
        ((), cosines[:, :0]) if world.adapted is None else _interests(world.adapted, late)
    )
    age = np.arange(len(past.likes))
    fresh = np.ones(world.items, bool)
    fresh[past.seen] = False
    return Proposals(
        wanted,
        cosines,
        adapted,
        adapted_cosines,
        np.array(
            world.behaviour_scores(
                past.likes, [0.5 ** (age / HALF_LIFE), 0.5 ** (age / RECENT_HALF_LIFE)]
            )
        ),
        fresh,
    )


def _interests(vectors: Matrix, late: Past) -> tuple[tuple[Interest, ...], Matrix]:
    """Return the interests of what was said lately, and the cosines (I, interests) to each."""
    wanted = past_interests(Weighted(vectors[late.items], late.values))
    return wanted, vectors @ np.stack([interest.vector for interest in wanted]).T


def _pool(
    world: World, past: Past, among: Mask, size: int, sources: Sources
) -> tuple[Ints, Evidence]:
    """Return the candidates (size,) of a person and what is known of them."""
    vectors, found = world.vectors, proposals(world, past)
    fresh, scores = found.fresh & among, found.scores
    of_behaviour, of_popularity = sources.rooms(size)
    led_to = _best(scores[0], fresh & (scores[0] > 0), of_behaviour)
    cosines = np.concatenate((found.cosines, found.adapted_cosines), axis=1)
    near = [_best(column, fresh, size) for column in cosines.T]
    items = merged(
        size,
        sources,
        led_to.tolist(),
        _best(world.popularity, fresh, of_behaviour + of_popularity).tolist(),
        [rows.tolist() for rows in near],
        found.shares(sources),
    )
    return items, observed(
        vectors[items],
        nearest_parts(vectors[items], found.interests),
        vectors[past.dislikes],
        scores[:, items],
        world.support[items],
        world.popularity[items],
        world.scale,
        adapted=_nearness(world.adapted, items, past.likes[:INTEREST_LENGTH]),
    )


def _nearness(adapted: Matrix | None, items: Ints, likes: Ints) -> Floats | None:
    """Return how near `items` (n,) are to likes (m,) by a head's vectors (I, d), (n,)."""
    if adapted is None:
        return None
    nearness: Floats = like_parts(adapted[items], adapted[likes], 0).sum(axis=1)
    return nearness


def _best(scores: Floats, allowed: Mask, count: int) -> Ints:
    """Return the allowed items with the highest scores, at most `count`, the best first."""
    items = np.flatnonzero(allowed)
    count = min(count, len(items))
    if not count:
        return items
    top = items[np.argpartition(-scores[items], count - 1)[:count]]
    ordered: Ints = top[np.argsort(-scores[top], kind="stable")]
    return ordered
