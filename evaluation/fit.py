"""`python -m evaluation fit`: a ranking profile for the server, from a folder or from its store."""

import json
from dataclasses import dataclass, replace
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

from evaluation.dataset import DatasetError, holds
from evaluation.dial import fit_dial
from evaluation.experiment import Options, Period, Stage, latest_period
from evaluation.fitting import learned, reach
from evaluation.methods import DIAL_LENGTH, dial_task
from evaluation.queries import query_task
from evaluation.query_experiment import asked_period
from evaluation.query_source import holds_queries
from evaluation.reliability import reliability, unreliable
from evaluation.report.results import ReliabilityRow
from evaluation.task import Floats
from evaluation.world import World

Rows = tuple[ReliabilityRow, ...]

# Fewer people, or queries, than that say nothing that the default profile does not know better.
FEWEST_PEOPLE = 20
NEEDED = {
    Context.HISTORY: "people liked something before and something new in the latest period",
    Context.QUERY: "queries have something that is relevant to them",
}
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
    """Fit what `source` tells of: people on its latest period, queries on what is relevant to them.

    What it does not tell of stays the default's. Raises DatasetError when there is too little to
    fit on.
    """
    profile, exposure = default_profile(), dict[str, float]()
    asks = source.is_dir() and holds_queries(source)
    world: World | None = None
    facts: dict[str, Any] = {
        "name": source.resolve().stem,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    unlike: list[str] = []
    if not asks or holds(source, "interactions"):
        period, sources, item_ids = latest_period(source, options, stage)
        world = period.world
        profile = replace(profile, sources=sources, reach=reach(period.requests))
        profile, shown, rows = _learned(profile, Context.HISTORY, period, options, stage)
        exposure = dict(zip(item_ids, shown.tolist(), strict=True))
        facts |= _counts("people", period, rows)
        unlike += [f"histories, {line}" for line in unreliable(rows)]
    if asks:
        period, sources, item_ids = asked_period(source, options, stage)
        profile = replace(profile, sources=replace(profile.sources, words=sources.words))
        if world is None:
            profile = replace(profile, reach=reach(period.requests))
        profile, shown, rows = _learned(profile, Context.QUERY, period, options, stage)
        exposure = exposure or dict(zip(item_ids, shown.tolist(), strict=True))
        facts["asked"] = _counts("queries", period, rows)
        unlike += [f"queries, {line}" for line in unreliable(rows)]
    elif world is not None:
        profile = _with_texts(profile, world, options, stage)
    return Fit(_readable(replace(profile, fit=facts)), exposure, unlike)


def _learned(
    profile: RankingProfile, context: Context, period: Period, options: Options, stage: Stage
) -> tuple[RankingProfile, Floats, Rows]:
    """Return the profile with a fit to a context, and the exposure (I,) of its lists, as reliable.

    The period's requests are all of this context. Raises DatasetError when there are too few.
    """
    requests, prior = period.requests, profile.models[context]
    if len(requests.users) < FEWEST_PEOPLE:
        found = f"{len(requests.users)} {NEEDED[context]}"
        raise DatasetError(f"{found}: {FEWEST_PEOPLE} are needed to fit on")
    with stage(f"relevance, {context}"):
        relevance = learned(requests, prior)
        scores = relevance.held_out
    with stage(f"dial, {context}"):
        task, observed = dial_task(period, scores, options.seed)
        taste = context is Context.HISTORY
        dial = fit_dial(task, profile.reach, observed, known_taste=taste)
    models = {**profile.models, context: relevance.model}
    dials = {**profile.dials, context: dial.dial}
    fitted = replace(profile, models=models, dials=dials)
    return fitted, dial.exposure, reliability(period, scores)


def _with_texts(
    profile: RankingProfile, world: World, options: Options, stage: Stage
) -> RankingProfile:
    """Return the profile with a dial for queries, for which texts of items stand in."""
    with stage("dial of queries"):
        queries = query_task(
            world,
            profile.models[Context.QUERY],
            count=QUERIES,
            pool=options.pool,
            k=DIAL_LENGTH,
            seed=options.seed,
        )
        overrun = profile.dials[Context.QUERY].overrun
        found = fit_dial(queries, profile.reach, None, known_taste=False, overrun=overrun)
    return replace(profile, dials={**profile.dials, Context.QUERY: found.dial})


def _readable(profile: RankingProfile) -> RankingProfile:
    """Return a profile with so many digits of each number as people can read."""
    text = json.dumps(document(profile))
    return profile_of(json.loads(text, parse_float=lambda number: float(f"{float(number):.6g}")))


def _counts(who: str, period: Period, rows: Rows) -> dict[str, Any]:
    """Return what a reader wants to know of what was fitted on."""
    requests = period.requests
    return {
        who: len(requests.users),
        "candidates": int(requests.items.size),
        "relevant": int(requests.relevant.sum()),
        "reliability": [vars(row) for row in rows],
    }
