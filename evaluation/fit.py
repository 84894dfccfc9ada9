"""`python -m evaluation fit`: a ranking profile for the server, from a folder or from its store."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.dataset import DatasetError
from evaluation.experiment import Options, Period, Stage, latest_period
from evaluation.fitting import fit_relevance, reach
from evaluation.methods import fitted_dial
from evaluation.reliability import reliability
from server.ranking.profile import Context, RankingProfile, default_profile

# Fewer people than that say nothing that the default profile does not know better.
FEWEST_PEOPLE = 20


def fit_profile(source: Path, options: Options, stage: Stage) -> RankingProfile:
    """Fit on the latest period of `source`; the weights of a query stay the default's.

    Raises DatasetError when there is too little to fit on.
    """
    period = latest_period(source, options, stage)
    requests, models = period.requests, dict(default_profile().models)
    if len(requests.users) < FEWEST_PEOPLE:
        raise DatasetError(
            f"{len(requests.users)} people liked something before and something new in the latest "
            f"period: {FEWEST_PEOPLE} are needed to fit on"
        )
    with stage("relevance"):
        models[Context.HISTORY] = fit_relevance(requests, models[Context.HISTORY])
    scores = period.probabilities(models[Context.HISTORY])
    share = reach(requests)
    with stage("dial"):
        dial = fitted_dial(period, scores, share, options.seed)
    return RankingProfile(models, share, dial.points, _facts(source, period, scores))


def _facts(source: Path, period: Period, scores: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Return what a reader wants to know of the fit."""
    return {
        "name": source.resolve().stem,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "people": len(period.requests.users),
        "candidates": int(period.requests.items.size),
        "relevant": int(period.requests.relevant.sum()),
        "reliability": [vars(row) for row in reliability(period, scores)],
    }
