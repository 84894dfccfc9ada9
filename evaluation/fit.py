"""`python -m evaluation fit`: a ranking profile for the server, from a folder or from its store."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from longtail.server.ranking.profile import (
    Context,
    RankingProfile,
    default_profile,
    document,
    profile_of,
)

from evaluation.dataset import DatasetError
from evaluation.dial import fit_dial
from evaluation.experiment import Options, Period, Stage, latest_period
from evaluation.fitting import cross_fitted, fit_relevance, reach
from evaluation.methods import DIAL_LENGTH, dial_task
from evaluation.queries import query_task
from evaluation.reliability import reliability, unreliable
from evaluation.report.results import ReliabilityRow

# Fewer people than that say nothing that the default profile does not know better.
FEWEST_PEOPLE = 20
# Texts of items that stand in for queries.
QUERIES = 300


@dataclass(frozen=True)
class Fit:
    """A profile, and how often its lists show each item: 1 is the average of the catalogue.

    `unreliable`: where what it states is not what happened, in words; then it is of no use.
    """

    profile: RankingProfile
    exposure: dict[str, float]
    unreliable: list[str]


def fit_profile(source: Path, options: Options, stage: Stage) -> Fit:
    """Fit on the latest period of `source`; the weights of a query stay the default's.

    Raises DatasetError when there is too little to fit on.
    """
    period, sources, item_ids = latest_period(source, options, stage)
    requests = period.requests
    if len(requests.users) < FEWEST_PEOPLE:
        raise DatasetError(
            f"{len(requests.users)} people liked something before and something new in the latest "
            f"period: {FEWEST_PEOPLE} are needed to fit on"
        )
    default = default_profile()
    models, dials = dict(default.models), dict(default.dials)
    with stage("relevance"):
        models[Context.HISTORY] = fit_relevance(requests, models[Context.HISTORY])
    scores = cross_fitted(requests, default.models[Context.HISTORY])
    share = reach(requests)
    with stage("dial of histories"):
        task, observed = dial_task(period, scores, options.seed)
        fitted = fit_dial(task, share, observed)
        dials[Context.HISTORY], exposure = fitted.dial, fitted.exposure
    with stage("dial of queries"):
        queries = query_task(
            period.world,
            models[Context.QUERY],
            count=QUERIES,
            pool=options.pool,
            k=DIAL_LENGTH,
            seed=options.seed,
        )
        prior = dials[Context.QUERY].overrun
        fitted = fit_dial(queries, share, None, known_taste=False, overrun=prior)
        dials[Context.QUERY] = fitted.dial
    rows = reliability(period, scores)
    facts = _facts(source, period, rows)
    return Fit(
        _readable(RankingProfile(models, share, dials, sources, facts)),
        dict(zip(item_ids, exposure.tolist(), strict=True)),
        unreliable(rows),
    )


def _readable(profile: RankingProfile) -> RankingProfile:
    """Return a profile with so many digits of each number as people can read."""
    text = json.dumps(document(profile))
    return profile_of(json.loads(text, parse_float=lambda number: float(f"{float(number):.6g}")))


def _facts(source: Path, period: Period, rows: Sequence[ReliabilityRow]) -> dict[str, Any]:
    """Return what a reader wants to know of the fit."""
    return {
        "name": source.resolve().stem,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "people": len(period.requests.users),
        "candidates": int(period.requests.items.size),
        "relevant": int(period.requests.relevant.sum()),
        "reliability": [vars(row) for row in rows],
    }
