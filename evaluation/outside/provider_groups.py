"""Re-rankers from `fairdiverse` that share exposure between groups of providers.

The providers are the tail and the rest, except for k-neighbor, which chooses among many. The
methods give all groups equal weight, so at their strongest each has half of the places. They add a
bonus to the score or take a price from it; the scores are brought to one unit first, which only
moves the dials. Settings other than the dial are the package's own, but for the two learning rates:
those were set for scores and crowds of another size, and are chosen here so that the prices settle.

- CPFair: Naghiaei, Rahmani and Deldjoo (SIGIR 2022), its producer side.
- P-MMF and min-regularizer: Xu, Chen, Xu, Shen, Zhang, Wang and Dong (WWW 2023).
- FairSync: Xu, Xu, Ding, Zhang and Qi (WWW 2024).
- Welf: Do, Corbett-Davies, Atif and Usunier (NeurIPS 2021).
- k-neighbor: the package's own heuristic.

FairRec (Patro et al., WWW 2020) is not among them: it guarantees each item int(a * U * k / I)
places, with a up to 1, which is none at all where there are more items than places.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from evaluation.baselines.dials import factors
from evaluation.baselines.groups import Queues, tail_or_rest
from evaluation.outside.fair_diverse import load, rerank
from evaluation.outside.slots import NOBODY, Slots
from evaluation.task import Family, Ints, Method, Task

# Far below any score with any bonus, and below the -10000 with which the package rules groups out.
NEVER = -1e6
# Parts of the catalogue for k-neighbor, of equally many items and falling popularity.
BANDS = 20

# What a method reads from its configuration, given the dial.
Settings = Callable[[float, Task], dict[str, float]]


def _weight(dial: float, task: Task) -> dict[str, float]:
    return {"lambda": dial}


def _p_mmf_settings(dial: float, task: Task) -> dict[str, float]:
    # The package divides the rate by the root of the number of columns, 2 k: a step of 1 / sqrt(U).
    rate = float(np.sqrt(2 * task.k / len(task.items)))
    return {"lambda": dial, "gamma": 0.2, "learning_rate": rate}


def _fair_sync_settings(dial: float, task: Task) -> dict[str, float]:
    # The dial is the share of all places that the tail, and the rest, are to have at least.
    return {"minimum_exposure": dial * len(task.items) * task.k, "learning_rate": 0.01}


def _shared(reranker: Any, settings: Settings, task: Task, dial: float) -> Ints:  # noqa: ANN401 (no types)
    slots = Slots.of(tail_or_rest(task), NEVER)
    columns = rerank(reranker, slots.relevance, slots.membership, task.k, **settings(dial, task))
    return slots.candidates(columns)


def _k_neighbor(reranker: Any, task: Task, dial: float) -> Ints:  # noqa: ANN401 (no types)
    popularity = task.catalogue.popularity
    band = np.empty(len(popularity), np.int64)
    band[np.argsort(-popularity, kind="stable")] = np.arange(len(band)) * BANDS // len(band)
    slots = Slots.of(Queues.of(task, band, BANDS), NEVER)
    nearest = BANDS - int(dial)
    columns = rerank(reranker, slots.relevance, slots.membership, task.k, nearest_k=nearest)
    return slots.candidates(columns)


def _welf(reranker: Any, task: Task, dial: float) -> Ints:  # noqa: ANN401 (no types)
    # It takes a power of a person's summed relevance, so all of the pool goes in and nothing may be
    # below zero. A slot with nobody in it then comes after the person's candidates of the same
    # group, but can come before the other group. The list has the best of those left instead.
    slots = Slots.of(tail_or_rest(replace(task, k=task.items.shape[1])), 0.0)
    settings = {"lambda": dial, "alpha1": 0.8, "alpha2": 3, "iter_num": 30}
    columns = rerank(reranker, slots.relevance, slots.membership, task.k, **settings)
    lists = slots.candidates(columns)
    for row in np.flatnonzero((lists == NOBODY).any(axis=1)):
        kept = lists[row, lists[row] != NOBODY]
        best_first = np.argsort(-task.scores[row], kind="stable")
        others = best_first[~np.isin(best_first, kept)][: task.k - len(kept)]
        # The method shows its lists in the order of the scores.
        lists[row] = best_first[np.isin(best_first, np.concatenate((kept, others)))]
    return lists


def _method(name: str, dials: tuple[float, ...], reranker: str, settings: Settings) -> Method:
    return Method(name, Family.OUTSIDE, dials, partial(_shared, load(reranker), settings))


METHODS = (
    _method("CPFair", factors(0.01, 100, 24), "CPFair", _weight),
    _method("min-regularizer", factors(0.001, 10, 24), "min_regularizer", _weight),
    # It solves a small program for each person, which is slow: hence fewer dials.
    _method("P-MMF", factors(0.01, 1, 19), "PMMF", _p_mmf_settings),
    _method("FairSync", tuple(np.linspace(0, 0.5, 21).tolist()), "FairSync", _fair_sync_settings),
    Method("Welf", Family.OUTSIDE, factors(0.001, 1, 24), partial(_welf, load("Welf"))),
    Method(
        "k-neighbor",
        Family.OUTSIDE,
        tuple(map(float, range(BANDS))),
        partial(_k_neighbor, load("k_neighbor")),
    ),
)
