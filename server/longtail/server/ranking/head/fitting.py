"""A head from what people liked, held against what was held out; none where it does not help.

A tenth of the items, and the last likes of some hundreds of people, are held out of learning. After
each round these people are asked. The head that serves them best beside the vectors of the texts
is taken, if that is surely better than the texts alone where items are cold, and no worse on all.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from longtail.server.ranking.head.head import BLOCK, Head, Matrix
from longtail.server.ranking.head.judging import ALL, COLD, NDCG, Floats, HeldOut
from longtail.server.ranking.head.learning import BATCH, USUAL, Learning, Recipe
from longtail.server.ranking.head.pairs import Likes, Mask, Pairs

# One in so many items is held out. People who like so much are asked, no more and no fewer of them;
# of one in so many the last likes are held out too: what is held out is missed by the head.
COLD_ITEMS, LATER = 10, 3
LEAST_LIKES, MOST_JUDGES, LEAST_JUDGES = 5, 600, 30
# Steps of a round, rounds at most, and rounds without a gain that end it.
STEPS, ROUNDS, PATIENCE = 100, 9, 4
# Standard errors by which it must be better than the texts on cold items.
SURE = 2.0
# The items with the fewest likes that have so much of all likes together are the tail.
TAIL_SHARE = 0.2

COLD_NDCG, ALL_NDCG = f"{COLD} {NDCG}", f"{ALL} {NDCG}"
Figures = Mapping[str, float]
ByPerson = Mapping[str, Floats]
# Called with the steps taken, every few dozen milliseconds of work; what it raises ends the fit.
Pause = Callable[[int], None]


class NoHead(Exception):
    """There is no head that helps; the message says why."""


@dataclass(frozen=True)
class Material:
    """What a head is learned from.

    `vectors` (n, d): of the texts of items, by the `encoder`, unit. `names` (n,): ids of the items,
    which say what is held out, so that it is the same the next time. `likes`: of people.
    """

    encoder: str
    vectors: Matrix
    names: Sequence[str]
    likes: Likes


@dataclass(frozen=True)
class Round:
    """How far it is: the `steps` taken of at most `STEPS * ROUNDS`, their mean loss, the figures.

    The first comes before any step, with the figures of the texts alone.
    """

    steps: int
    loss: float
    figures: Figures


def fit_head(
    material: Material,
    pause: Pause,
    *,
    current: Head | None = None,
    recipe: Recipe = USUAL,
    seed: int = 0,
    tell: Callable[[Round], None] = lambda _: None,
) -> Head:
    """Return a head that is better than the texts alone, and no worse than the `current` one.

    `tell` is called after each round. The facts of the head say what it reached. The same in gives
    the same out. Raises NoHead where there is too little to go by, or nothing is gained.
    """
    vectors, likes = material.vectors, material.likes
    cold = _cold(material)
    judges = _judges(likes)
    later = np.zeros_like(judges)
    later[np.flatnonzero(judges)[::LATER]] = True
    judge = HeldOut(likes, judges, later, cold, _tail(likes))
    pairs = Pairs(likes.where(judge.free), recipe.tail_weight)
    before = judge.figures(vectors) if len(judge) else {COLD_NDCG: np.empty(0)}
    count = int(np.isfinite(before[COLD_NDCG]).sum())
    if count < LEAST_JUDGES or not pairs:
        raise NoHead(f"{count} people like enough to judge it by: {LEAST_JUDGES} are needed")
    tell(Round(0, float("nan"), means(before)))

    def judged(head: Head, steps: int) -> ByPerson:
        return judge.figures(_beside(vectors, head, pause, steps))

    learning, random = Learning(vectors, recipe, seed), np.random.default_rng(seed)
    best, reached, best_steps = learning.head(), before, 0
    for steps in range(STEPS, STEPS * ROUNDS + 1, STEPS):
        losses = []
        for step in range(steps - STEPS, steps):
            pause(step)
            losses.append(learning.learn(*pairs.drawn(random, BATCH)))
        head = learning.head()
        figures = judged(head, steps)
        tell(Round(steps, float(np.mean(losses)), means(figures)))
        if gain(figures, before) > gain(reached, before):
            best, reached, best_steps = head, figures, steps
        elif steps - best_steps >= PATIENCE * STEPS:
            break
    _check(before, reached)
    if current is not None and gain(judged(current, steps), before) > gain(reached, before):
        raise NoHead(f"it is no better than {current.version}, which is in use")
    facts = {
        "recipe": asdict(recipe) | {"seed": seed, "steps": best_steps},
        "learned from": {
            "items": len(vectors),
            "likes": len(likes.items),
            "items held out": int(cold.sum()),
            "people asked": len(judge),
        },
        "text alone": means(before),
        "with the head": means(reached),
        "gain": round(gain(reached, before), 5),
    }
    return replace(best, encoder=material.encoder, facts=facts)


def means(figures: ByPerson) -> dict[str, float]:
    """Return the means over people who have a figure."""
    return {
        name: round(float(np.nanmean(values)), 5)
        for name, values in figures.items()
        if np.isfinite(values).any()
    }


def gain(figures: ByPerson, before: ByPerson) -> float:
    """Return the NDCG as a share of that `before`, the mean of that on cold items and on all."""
    after, was = means(figures), means(before)
    shares = [after[name] / max(was[name], 1e-9) for name in (COLD_NDCG, ALL_NDCG) if name in was]
    return float(np.mean(shares))


def _cold(material: Material) -> Mask:
    """Return which items (n,) are held out: by their ids, as good as drawn."""
    lots = (zlib.crc32(name.encode()) for name in material.names)
    drawn = np.fromiter(lots, np.int64, len(material.names))
    cold: Mask = (drawn % COLD_ITEMS == 0) & (material.likes.popularity > 0)
    return cold


def _judges(likes: Likes) -> Mask:
    """Return which people, by number, are asked: evenly among those who like enough."""
    counts = np.bincount(likes.people)
    may = np.flatnonzero(counts >= LEAST_LIKES)
    places = np.linspace(0, len(may), min(len(may), MOST_JUDGES), endpoint=False)
    judges = np.zeros(len(counts), np.bool_)
    judges[may[places.astype(np.int64)]] = True
    return judges


def _tail(likes: Likes) -> Mask:
    """Return which items (n,) are the tail."""
    popularity = likes.popularity
    order = np.argsort(popularity, kind="stable")
    tail = np.empty(len(order), np.bool_)
    tail[order] = np.cumsum(popularity[order]) <= TAIL_SHARE * popularity.sum()
    return tail


def _beside(vectors: Matrix, head: Head, pause: Pause, steps: int) -> Matrix:
    """Return the vectors as they are and as adapted, side by side, (n, 2d): as both are served."""
    count, dimension = vectors.shape
    both = np.empty((count, 2 * dimension), np.float32)
    for start in range(0, count, BLOCK):
        pause(steps)
        part = vectors[start : start + BLOCK]
        both[start : start + BLOCK, :dimension] = part
        both[start : start + BLOCK, dimension:] = head.adapted(part)
    both *= np.float32(np.sqrt(0.5))
    return both


def _check(before: ByPerson, reached: ByPerson) -> None:
    """Raise NoHead when it is not surely better on cold items, or worse on all."""
    gains = reached[COLD_NDCG] - before[COLD_NDCG]
    gains = gains[np.isfinite(gains)]
    sure = SURE * float(gains.std()) / np.sqrt(len(gains))
    if gains.mean() <= sure:
        raise NoHead(f"{COLD_NDCG} gains {gains.mean():.4f}, not the {sure:.4f} that are no chance")
    everywhere = reached[ALL_NDCG] - before[ALL_NDCG]
    if np.nanmean(everywhere) < 0:
        raise NoHead(f"{ALL_NDCG} loses {-np.nanmean(everywhere):.4f}")
