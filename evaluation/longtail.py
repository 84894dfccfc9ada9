"""Longtail's own re-ranking as a method: the production code, request by request."""

from dataclasses import dataclass, replace

import numpy as np
from longtail.server.ranking.dial import Dial
from longtail.server.ranking.exposure import blended, rarity, settled
from longtail.server.ranking.places import discounts
from longtail.server.ranking.quota import Candidates, Limits, Places, Prices, ideal_dcg, select

from evaluation.task import Floats, Ints, Rerank, Task


@dataclass(frozen=True)
class Served:
    """The lists (U, k) of a run, positions in the pools, and the expected NDCG (U,) of each."""

    lists: Ints
    gains: Floats


def serve(
    task: Task, prices: Prices, reach: float, exposure: Floats, *, online: bool = True
) -> Served:
    """Answer the requests of a task one after the other, as the server does.

    `reach`: see RankingProfile. `exposure` (I,): of each item before the first request. What is
    shown adds to it, unless `online` is False.
    """
    counts, shown = np.zeros(len(exposure)), 0
    lists = np.empty((len(task.items), task.k), np.int64)
    gains = np.empty(len(task.items))
    for at, items in enumerate(task.items):
        so_far = blended(exposure[items], counts[items], shown / len(exposure))
        candidates = replace(_candidates(task, at, reach), rarity=rarity(so_far))
        selection = select(candidates, Places.first(task.k), prices, Limits())
        if selection is None:
            raise AssertionError("without a budget there is always a list")
        lists[at], gains[at] = selection.chosen, selection.gains.sum()
        if online:
            counts[items[selection.chosen]] += 1
            shown += task.k
    return Served(lists, gains)


def best_gains(task: Task, reach: float) -> Floats:
    """Return the expected NDCG of the most relevant list of each request, (U,)."""
    top = -np.sort(-task.scores, axis=1)[:, : task.k]
    rows = range(len(task.items))
    ideal = np.array([ideal_dcg(_candidates(task, at, reach), task.k) for at in rows])
    gains: Floats = top @ discounts(task.k) / ideal
    return gains


def settled_exposure(task: Task, prices: Prices, reach: float) -> Floats:
    """Return the exposure (I,) of each item when these requests are served again and again."""
    items = len(task.catalogue.bucket)

    def shown(exposure: Floats) -> Floats:
        lists = serve(task, prices, reach, exposure, online=False).lists
        chosen = np.take_along_axis(task.items, lists, axis=1)
        return np.bincount(chosen.ravel(), minlength=items).astype(np.float64)

    return settled(shown, items)


def longtail(dial: Dial, reach: float, exposure: Floats) -> Rerank:
    """Return the re-ranker whose dial is the strength; see `serve`."""

    def rerank(task: Task, strength: float) -> Ints:
        return serve(task, dial.prices(strength), reach, exposure).lists

    return rerank


def _candidates(task: Task, at: int, reach: float) -> Candidates:
    return Candidates(
        relevance=task.scores[at],
        bucket=task.catalogue.bucket[task.items[at]],
        rarity=np.ones(task.items.shape[1]),
        taste=task.taste[at],
        expected=float(task.scores[at].sum()) / reach,
    )
