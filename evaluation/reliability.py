"""Whether a stated probability is what happens, for the unpopular as for the popular."""

import numpy as np

from evaluation.experiment import Period
from evaluation.report.results import ReliabilityRow
from evaluation.task import Floats

DECILES = 10


def reliability(period: Period, probability: Floats) -> tuple[ReliabilityRow, ...]:
    """Compare `probability` (U, n) with what turned out relevant, by decile of popularity.

    Deciles are of the candidates, the least popular first; equally popular ones share the first.
    """
    popularity = period.world.popularity[period.requests.items].ravel()
    edges = np.quantile(popularity, np.arange(1, DECILES) / DECILES)
    decile = np.searchsorted(edges, popularity, side="left")
    relevant = period.requests.relevant.ravel()
    rows = []
    for at in range(DECILES):
        mine = decile == at
        if mine.any():
            rows.append(
                ReliabilityRow(
                    decile=at + 1,
                    count=int(mine.sum()),
                    predicted=float(probability.ravel()[mine].mean()),
                    observed=float(relevant[mine].mean()),
                )
            )
    return tuple(rows)
