"""What a dial promises, what the answer tells, and what is lost indeed, strength by strength."""

import numpy as np
from longtail.server.ranking.dial import Dial

from evaluation.comparison import REPLICATES
from evaluation.experiment import Period
from evaluation.longtail import best_gains, serve
from evaluation.metrics import Judge
from evaluation.report.results import DialRow, DialTable
from evaluation.significance import UserBootstrap, estimate
from evaluation.sweep import BY_USER
from evaluation.task import Floats

STRENGTHS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)


def dial_table(
    name: str,
    period: Period,
    scores: Floats,
    dial: Dial,
    reach: float,
    exposure: Floats,
    k: int,
    seed: int,
) -> DialTable:
    """Serve lists of `k` by `scores` (U, n) at each strength; at the first nothing is lost.

    `reach` and `exposure` (I,): see `evaluation.longtail.serve`.
    """
    task = period.task(scores, k, seed)
    judge = Judge(period.requests.truth, task.catalogue, period.requests.taste)
    bootstrap = UserBootstrap(len(task.items), replicates=REPLICATES, seed=seed)
    best = best_gains(task, reach)
    rows, base = [], np.empty(0)
    for strength in STRENGTHS:
        served = serve(task, dial.prices(strength), reach, exposure)
        shown = np.take_along_axis(task.items, served.lists, axis=1)
        measured = judge.measure(shown).per_user
        means = bootstrap.means(np.stack([measured[metric] for metric in BY_USER]))
        figures = dict(zip(BY_USER, means.T, strict=True))
        figures["coverage"] = bootstrap.coverage(shown[None], len(task.catalogue.bucket))[:, 0]
        if not len(base):
            base = figures["ndcg"]
        rows.append(
            DialRow(
                strength=strength,
                promised=dial.loss(strength),
                told=float(np.mean([dial.measured(loss) for loss in 1 - served.gains / best])),
                lost=estimate(1 - figures["ndcg"] / base),
                metrics={metric: estimate(values) for metric, values in figures.items()},
            )
        )
    return DialTable(name, k, tuple(rows))
