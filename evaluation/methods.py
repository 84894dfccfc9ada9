"""The methods of one regime: ours, what is left of it without each of its parts, and the others."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from longtail.server.ranking.dial import Dial, Knobs
from longtail.server.ranking.popularity import Bucket
from longtail.server.ranking.profile import Context, RankingProfile, default_profile
from longtail.server.ranking.relevance import RelevanceModel

from evaluation.dial import fit_dial
from evaluation.experiment import Experiment, Period
from evaluation.fitting import learned, reach
from evaluation.longtail import longtail, serve
from evaluation.metrics import Truth
from evaluation.task import Family, Floats, Ints, Method, Rerank, Task

# Strengths, dense where little is lost.
STRENGTHS = (*np.linspace(0, 0.6, 49).tolist(), *np.linspace(0.65, 1, 8).tolist())
# The dial is fitted on no more requests than that.
DIAL_REQUESTS = 600
# The lists for which the dial is fitted; prices are shares of a list and hold for any length.
DIAL_LENGTH = 10
OURS = "Longtail"
OF_TEXT = frozenset(("text", "text cosine", "text x popularity", "behaviour x text"))
OF_BEHAVIOUR = frozenset(
    ("behaviour", "recent behaviour", "behaviour x popularity", "behaviour x text")
)


@dataclass(frozen=True)
class Scores:
    """A way to score the candidates, and the dial that was fitted to it on validation.

    `test` (U, n): of the test period. `exposure` (I,): what items settle at. `profile` holds the
    weights and the dial, as the server would have it.
    """

    test: Floats
    dial: Dial
    reach: float
    exposure: Floats
    profile: RankingProfile


def dial_task(period: Period, scores: Floats, seed: int) -> tuple[Task, Truth]:
    """Return the requests of a period that the dial is fitted on, and what was observed of them.

    `scores` (U, n): by a model that has not seen what was observed.
    """
    count = min(DIAL_REQUESTS, len(scores))
    task = period.task(scores, min(DIAL_LENGTH, scores.shape[1]), seed)
    return task.rows(np.arange(count)), period.requests.truth.first(count)


def scored(
    experiment: Experiment, valid: Floats, test: Floats, models: Mapping[Context, RelevanceModel]
) -> Scores:
    """Fit a dial for scores (U, n) of both periods."""
    default, share = default_profile(), reach(experiment.valid.requests)
    task, observed = dial_task(experiment.valid, valid, experiment.options.seed)
    fitted = fit_dial(task, share, observed)
    dials = {**default.dials, Context.HISTORY: fitted.dial}
    profile = RankingProfile(models, share, dials, experiment.sources, {"name": "evaluation"})
    return Scores(test, fitted.dial, share, fitted.exposure, profile)


def raw(experiment: Experiment) -> Scores:
    """Return the raw regime's scores: behaviour, as it is."""
    models = default_profile().models
    return scored(experiment, experiment.valid.raw_scores(), experiment.test.raw_scores(), models)


def calibrated(experiment: Experiment, without: frozenset[str] = frozenset()) -> Scores:
    """Return the calibrated regime's scores; `without`: features that the fit goes without."""
    prior = default_profile().models[Context.HISTORY]
    found = learned(experiment.valid.requests, prior, without)
    models = {**default_profile().models, Context.HISTORY: found.model}
    # The dial is not fitted to probabilities that know their own outcomes.
    return scored(experiment, found.held_out, experiment.test.probabilities(found.model), models)


def uncalibrated(experiment: Experiment) -> Scores:
    """Return the scores of the default profile, to which nothing is fitted."""
    models = default_profile().models
    valid, test = (
        period.probabilities(models[Context.HISTORY])
        for period in (experiment.valid, experiment.test)
    )
    return scored(experiment, valid, test, models)


def ours(scores: Scores, name: str = OURS, family: Family = Family.LONGTAIL) -> Method:
    """Return our method; as an ablation it goes by its own scores, not by the task's."""
    rerank = longtail(scores.dial, scores.reach, scores.exposure)
    if family is Family.ABLATION:
        rerank = _with_scores(rerank, scores.test)
    return Method(name, family, STRENGTHS, rerank)


# What is left of the scores without a part.
ABLATED: Mapping[str, Callable[[Experiment], Scores]] = {
    "without calibration": uncalibrated,
    "without text": partial(calibrated, without=OF_TEXT),
    "without behaviour": partial(calibrated, without=OF_BEHAVIOUR),
}


def ablations(scores: Scores, parts: Mapping[str, Scores]) -> tuple[Method, ...]:
    """Return our method without each of its parts, beside the whole one on `scores`.

    `parts`: the scores that each of ABLATED leaves.
    """

    def by_worth(task: Task, strength: float) -> Ints:
        """Show the same lists in the order of what each item is worth, as a greedy walk would."""
        prices = scores.dial.prices(strength)
        lists = serve(task, prices, scores.reach, scores.exposure).lists
        relevance = np.take_along_axis(task.scores, lists, axis=1)
        items = np.take_along_axis(task.items, lists, axis=1)
        tail = task.catalogue.bucket[items] == Bucket.TAIL
        order = np.argsort(-(relevance + prices.tail * tail), axis=1, kind="stable")
        return np.take_along_axis(lists, order, axis=1)

    return (
        *(ours(part, name, Family.ABLATION) for name, part in parts.items()),
        Method("without re-sort", Family.ABLATION, STRENGTHS, by_worth),
    )


# The knobs of a request, each turned by itself.
KNOBS: Mapping[str, Callable[[float], Knobs]] = {
    "tail alone": lambda strength: Knobs(tail=strength),
    "coverage alone": lambda strength: Knobs(coverage=strength),
    "taste alone": lambda strength: Knobs(taste=strength),
}


def knobs(scores: Scores) -> tuple[Method, ...]:
    """Return our method with one price at a time, for those who want no more than it brings."""

    def alone(turned: Callable[[float], Knobs]) -> Rerank:
        def rerank(task: Task, strength: float) -> Ints:
            prices = scores.dial.prices(0.0, turned(strength))
            return serve(task, prices, scores.reach, scores.exposure).lists

        return rerank

    return tuple(
        Method(name, Family.ABLATION, STRENGTHS, alone(turned)) for name, turned in KNOBS.items()
    )


def _with_scores(rerank: Rerank, scores: Floats) -> Rerank:
    return lambda task, dial: rerank(replace(task, scores=scores), dial)
