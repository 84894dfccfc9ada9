"""The recommender underneath: Longtail's scores beside other recommenders, before any re-ranking.

All rank the whole catalogue for the same people, from the same likes. What the others can be set to
is chosen on the validation period, which Longtail's weights are fitted on too.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from longtail.server.ranking.profile import Context, default_profile

from evaluation.base.choice import Field, best_setting
from evaluation.base.known import Base, Setting, TooLargeError
from evaluation.comparison import REPLICATES
from evaluation.experiment import Experiment, Period, Progress
from evaluation.fitting import learned, reach
from evaluation.metrics import Judge
from evaluation.relevance_metrics import recall
from evaluation.report.results import BaseResult, BaseTable
from evaluation.significance import UserBootstrap, compare, estimate
from evaluation.task import Catalogue, Floats, Ints

# Recall is taken of so long lists too: it is what a re-ranker can choose from.
DEPTH = 100
BY_PERSON = ("ndcg", "recall", "mrr", "aplt", "tail_recall")
FITTED, DEFAULT, BEHAVIOUR = "Longtail, fitted", "Longtail, default profile", "its behaviour alone"


def base_table(
    material: Experiment, k: int, bases: Sequence[Base], progress: Progress
) -> BaseTable:
    """Compare on lists of `k`, the test period's people being resampled."""
    seed = material.options.seed
    requests = material.test.requests
    depth = min(DEPTH, requests.items.shape[1])
    shown = {name: ranked(requests.items, scores, depth) for name, scores in _ours(material)}
    settings: dict[str, Setting] = {}
    notes = []
    valid, test = Field(material.valid, seed), Field(material.test, seed)
    for at, base in enumerate(bases):
        try:
            settings[base.name] = best_setting(base, valid, k)
            score = base.fit(test.known, settings[base.name])
        except TooLargeError as error:
            notes.append(f"{base.name} did not run: {error}.")
        else:
            shown[base.name] = test.lists(score, depth)
        progress(at + 1, len(bases))
    return compared(material.test, k, shown, settings, notes, seed)


def _ours(material: Experiment) -> list[tuple[str, Floats]]:
    prior = default_profile().models[Context.HISTORY]
    fitted = learned(material.valid.requests, prior).model
    test = material.test
    return [
        (FITTED, test.probabilities(fitted)),
        (DEFAULT, test.probabilities(prior)),
        (BEHAVIOUR, test.requests.raw),
    ]


def ranked(items: Ints, scores: Floats, length: int) -> Ints:
    """Return the `length` best (U, length) of `items` (U, n) by `scores` (U, n)."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :length]
    return np.take_along_axis(items, order, axis=1)


def compared(
    period: Period,
    k: int,
    shown: Mapping[str, Ints],
    settings: Mapping[str, Setting],
    notes: Sequence[str],
    seed: int,
) -> BaseTable:
    """Judge the lists (U, at least k) that each recommender shows, on resamples of the requests.

    `settings`: of the recommenders of others.
    """
    world, requests = period.world, period.requests
    catalogue = Catalogue(world.popularity, world.bucket, world.vectors)
    judge = Judge(requests.truth, catalogue, requests.taste)
    bootstrap = UserBootstrap(len(requests.users), replicates=REPLICATES, seed=seed)
    figures: dict[str, dict[str, Floats]] = {}
    for name, lists in shown.items():
        by_person = judge.measure(lists[:, :k]).per_user
        values = {metric: by_person[metric] for metric in BY_PERSON}
        deep = recall(requests.truth.hits(lists), requests.truth.counts)
        values[f"recall@{lists.shape[1]}"] = deep
        means = bootstrap.means(np.stack(list(values.values())))
        figures[name] = dict(zip(values, means.T, strict=True)) | {
            "coverage": bootstrap.coverage(lists[None, :, :k], world.items)[:, 0]
        }
    best = max(settings, key=lambda name: figures[name]["ndcg"][0])
    # Of each, less that of the best: `compare` takes what it is given from the first.
    behind = compare(
        -figures[best]["ndcg"],
        {name: -each["ndcg"] for name, each in figures.items() if name != best},
    )
    return BaseTable(
        k=k,
        best=best,
        people=len(requests.users),
        pool_recall=reach(requests),
        results=tuple(
            BaseResult(
                name=name,
                setting=settings.get(name),
                metrics={metric: estimate(values) for metric, values in each.items()},
                against_best=behind.get(name),
            )
            for name, each in figures.items()
        ),
        notes=tuple(notes),
    )
