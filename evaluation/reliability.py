"""Whether a stated probability is what happens, for the unpopular as for the popular."""

from collections.abc import Sequence

import numpy as np

from evaluation.experiment import Period
from evaluation.report.results import ReliabilityRow
from evaluation.task import Floats

DECILES = 10
# What is stated of a decile may differ from what happens by this factor, and beyond it by as many
# standard deviations of a count.
MOST_OFF, DEVIATIONS = 1.5, 3.0


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


def unreliable(rows: Sequence[ReliabilityRow]) -> list[str]:
    """Return in words where what is stated is not what happens: nothing where a fit can be used."""
    found = []
    for row in rows:
        stated, happened = row.predicted * row.count, row.observed * row.count
        within = max(stated, happened) <= MOST_OFF * min(stated, happened)
        if not within and abs(stated - happened) > DEVIATIONS * max(stated, happened) ** 0.5:
            found.append(
                f"decile {row.decile} of popularity: {stated:.0f} relevant items are stated, "
                f"{happened:.0f} were"
            )
    return found
