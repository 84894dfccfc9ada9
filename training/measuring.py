"""What a head is worth to the whole system: the same requests, served with it and without.

A sixth of the items is cold: whatever happened to them is withheld from the head, from behaviour
and from popularity, and what people like of them is asked for, among them, as by a filter for what
is new. Beside that stands what people liked last, of all items. Everything is ranked by the code
that serves, with the default profile.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np
from longtail.server.ranking.head.fitting import Material, NoHead, Pause, fit_head
from longtail.server.ranking.head.pairs import Likes
from longtail.server.ranking.popularity import Bucket
from longtail.server.ranking.profile import Context, default_profile

from evaluation.dataset import Mask
from evaluation.experiment import Period
from evaluation.longtail import serve
from evaluation.metrics import Truth
from evaluation.opinions import Opinions
from evaluation.relevance_metrics import recall
from evaluation.requests import requests
from evaluation.significance import Estimate, UserBootstrap, curve_hypervolume, estimate
from evaluation.splits import Part, SplitMethod, split
from evaluation.task import Floats, Ints, Matrix
from evaluation.world import World

COLD_SHARE = 1 / 6
HELD_OUT = 0.2
POOL = 200
# Lists of cold and tail items, and of all.
LONG, SHORT = 20, 10
STRENGTHS = (0.0, 0.1, 0.2, 0.4, 0.7, 1.0)
# Where the server's dial stands where nothing is said.
USUAL = STRENGTHS.index(0.2)
REPLICATES = 2000
AREA = "hypervolume ndcg x aplt"

# By name, of each person, and at each strength where there are several: (people,), (s, people).
# NaN stands for who was not asked, or likes nothing of the kind.
Figures = Mapping[str, Floats]


@dataclass(frozen=True)
class Effect:
    """A figure without a head and with one, and the difference with its interval over people."""

    name: str
    without: float
    with_head: float
    difference: Estimate


def effects(
    opinions: Opinions,
    encoder: str,
    vectors: Matrix,
    people: int,
    seeds: Sequence[int],
    pause: Pause,
    told: Callable[[str], None],
) -> Iterator[list[Effect]]:
    """Yield the effects on at most so many `people`, the mean over the `seeds` that were done.

    `pause` is called while heads are learned, `told` with a sentence on each: where none helps, the
    system stays as it is. Raises DatasetError when the data do not allow it.
    """
    without, with_head = list[Figures](), list[Figures]()
    for seed in seeds:
        part = split(
            opinions.data,
            SplitMethod.USER_TIME,
            positives=opinions.likes,
            valid=HELD_OUT,
            test=HELD_OUT,
        )
        random = np.random.default_rng(seed)
        cold = random.random(len(vectors)) < COLD_SHARE
        known = (part < Part.TEST) & ~cold[opinions.data.items]
        latest = (part == Part.TEST) & opinions.likes
        adapted = _adapted(opinions, known, encoder, vectors, seed, pause, told)
        world = World(opinions.data, opinions.likes, opinions.dislikes, known, vectors)
        found = _served(world, opinions, latest, cold, people)
        without.append(found)
        if adapted is not None:
            # What people did is the same, and takes long to be learned.
            world = copy(world)
            world.adapted = adapted
            found = _served(world, opinions, latest, cold, people)
        with_head.append(found)
        yield _compared(_averaged(without), _averaged(with_head))


def _adapted(
    opinions: Opinions,
    known: Mask,
    encoder: str,
    vectors: Matrix,
    seed: int,
    pause: Pause,
    told: Callable[[str], None],
) -> Matrix | None:
    data = opinions.data
    rows = np.flatnonzero(known & opinions.likes)
    rows = rows[np.lexsort((data.times[rows], data.users[rows]))]
    who, what = (column[rows].astype(np.int32) for column in (data.users, data.items))
    material = Material(encoder, vectors, data.item_ids, Likes(who, what, len(vectors)))
    try:
        head = fit_head(material, pause, seed=seed)
    except NoHead as none:
        told(f"seed {seed}: {none}")
        return None
    told(f"seed {seed}: {head.version}, a gain of {head.facts['gain']:.3f} by its own measure")
    return head.adapted(vectors)


def _served(world: World, opinions: Opinions, latest: Mask, cold: Mask, people: int) -> Figures:
    """Return the figures of what is served of cold items, and of all."""
    data, profile = opinions.data, default_profile()
    everybody = len(data.user_ids)

    def asked(wanted: Mask, among: Mask | None) -> tuple[Period, Floats]:
        found = requests(
            world, data, wanted, POOL, people, 0, profile.sources, lambda *_: None, among
        )
        period = Period(world, found)
        return period, period.probabilities(profile.models[Context.HISTORY])

    def of_all(users: Ints, values: Floats) -> Floats:
        whole = np.full((*values.shape[:-1], everybody), np.nan)
        whole[..., users] = values
        return whole

    def lists(period: Period, scores: Floats, k: int, strength: float) -> Ints:
        task = period.task(scores, k, 0)
        prices = profile.dials[Context.HISTORY].prices(strength)
        served = serve(task, prices, profile.reach, np.ones(world.items))
        return np.take_along_axis(task.items, served.lists, axis=1)

    period, scores = asked(opinions.likes & cold[data.items], cold)
    truth, shown = period.requests.truth, lists(period, scores, LONG, 0.0)
    users = period.requests.users
    figures = {
        f"cold recall@{LONG}": of_all(users, recall(truth.hits(shown), truth.counts)),
        f"cold ndcg@{LONG}": of_all(users, truth.ndcg(shown)),
    }
    period, scores = asked(latest, None)
    truth, users = period.requests.truth, period.requests.users
    is_tail = world.bucket == Bucket.TAIL
    of_tail, shown = _only(truth, is_tail), lists(period, scores, LONG, STRENGTHS[USUAL])
    figures |= {
        f"tail recall@{LONG}": of_all(users, recall(of_tail.hits(shown), of_tail.counts)),
        f"tail ndcg@{LONG}": of_all(users, of_tail.ndcg(shown)),
    }
    by_strength = [lists(period, scores, SHORT, strength) for strength in STRENGTHS]
    ndcg = np.stack([truth.ndcg(shown) for shown in by_strength])
    aplt = np.stack([is_tail[shown].mean(axis=1) for shown in by_strength])
    return figures | {
        f"all ndcg@{SHORT}": of_all(users, ndcg),
        f"all aplt@{SHORT}": of_all(users, aplt),
    }


def _only(truth: Truth, kept: Mask) -> Truth:
    """Return the truth of the items (I,) that are `kept` alone."""
    held = kept[truth.items]
    counts = np.bincount(truth.requests[held], minlength=len(truth.counts))
    return Truth(np.concatenate(([0], np.cumsum(counts))), truth.items[held])


def _averaged(by_seed: Sequence[Figures]) -> Figures:
    """Return the mean of each person's figures over the seeds that have one."""
    averaged = {}
    for name in by_seed[0]:
        values = np.stack([figures[name] for figures in by_seed])
        present = np.isfinite(values).sum(axis=0)
        sums = np.nansum(values, axis=0)
        averaged[name] = np.divide(
            sums, present, out=np.full(sums.shape, np.nan), where=present > 0
        )
    return averaged


def _compared(without: Figures, with_head: Figures) -> list[Effect]:
    found = []
    whole = [f"all ndcg@{SHORT}", f"all aplt@{SHORT}"]
    bootstrap = UserBootstrap(without[whole[0]].shape[1], replicates=REPLICATES)

    def add(name: str, before: Floats, after: Floats) -> None:
        found.append(Effect(name, float(before[0]), float(after[0]), estimate(after - before)))

    both = without, with_head
    for name in without:
        values = [np.atleast_2d(figures[name]) for figures in both]
        means = [bootstrap.means(each) for each in values]
        at = {name: 0} if len(values[0]) == 1 else {name: 0, f"{name}, strength 0.2": USUAL}
        for called, place in at.items():
            add(called, *(each[:, place] for each in means))
    curves = [[bootstrap.means(figures[name]) for name in whole] for figures in both]
    base = curves[0][0][:, 0]
    add(AREA, *(100 * curve_hypervolume(ndcg, aplt, base) for ndcg, aplt in curves))
    return found
