"""How relevant items are to one request: from what is known of them to the pool of candidates."""

from collections.abc import Mapping

import numpy as np
from longtail.server.ranking.adjustment import adjusted, faded
from longtail.server.ranking.evidence import PoolScale, features
from longtail.server.ranking.exposure import blended, rarity
from longtail.server.ranking.relevance import RelevanceModel
from longtail.server.recommend.context import Gathered, Standpoint
from longtail.server.recommend.odds_rules import rule_factors
from longtail.server.recommend.person import Person
from longtail.server.recommend.pool import Floats, Pool
from longtail.server.recommend.request import Rotation, Wish


def appraised(
    standpoint: Standpoint,
    gathered: Gathered,
    wish: Wish,
    person: Person,
    model: RelevanceModel,
    scale: PoolScale,
    expected: Mapping[str, float],
) -> Pool:
    """Return what was gathered as candidates: with their relevance, measured on `scale`.

    `expected` is the exposure of items by id before anything was counted: see `ExpectedColumn.of`.
    Raises InvalidArgument when the filter of a rule does not fit the catalogue.
    """
    columns, scope = standpoint.state.columns, standpoint.scope
    ids, rows = gathered.ids, gathered.rows
    values = features(gathered.evidence, standpoint.taste, scale)
    estimate = model.probability(values)
    factor = rule_factors(wish.odds_rules, scope, ids, rows)
    penalty = columns.penalty(rows)
    rotation = _rotation(wish.rotation, person, ids, scope.now)
    mean_count = columns.mean_exposure()
    usual = standpoint.state.expected.of(expected, rows)
    exposure = blended(usual, columns.exposure(rows) * mean_count, mean_count)
    return Pool(
        ids=ids,
        rows=rows,
        vectors=gathered.vectors,
        mass=gathered.mass,
        popularity_scale=standpoint.scale,
        interests=standpoint.interests,
        parts=gathered.parts,
        evidence=gathered.evidence,
        scale=scale,
        features=values,
        context=standpoint.context,
        model=model,
        taste=standpoint.taste,
        estimate=estimate,
        rule_factor=factor,
        penalty=penalty,
        rotation=rotation,
        relevance=adjusted(estimate, factor, penalty, rotation),
        rarity=rarity(exposure),
        liked=standpoint.liked,
    )


def _rotation(rotation: Rotation | None, person: Person, ids: list[str], now: int) -> Floats:
    if rotation is None or not person.shown:
        return np.zeros(len(ids))
    never = -np.inf
    ages = now - np.array([person.shown.get(item_id, never) for item_id in ids], np.float64)
    return faded(rotation.rate, rotation.half_life, ages)
