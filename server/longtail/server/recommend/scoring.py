"""How relevant items are to one request: from what is known of them to P(relevant)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from longtail.runtime.errors import InvalidArgument, Violation
from longtail.server.catalogue.columns.filter import FilterTypeError
from longtail.server.catalogue.columns.postings import Mask
from longtail.server.catalogue.scope import Scope
from longtail.server.ranking.adjustment import adjusted, faded
from longtail.server.ranking.evidence import SIGNALS, Evidence, PoolScale, features, observed
from longtail.server.ranking.exposure import blended, rarity
from longtail.server.ranking.interest import Matrix, nearest_parts
from longtail.server.ranking.relevance import RelevanceModel
from longtail.server.recommend.context import Floats, Ints, RequestContext
from longtail.server.recommend.request import OddsRule, Rotation


@dataclass(frozen=True)
class Candidates:
    """n items and all that is known of them for one request; all arrays start with (n,).

    `rows`: in the columns of the state. `mass`: popularity. `parts` (n, 3): of query, examples and
    history in the cosine to the nearest interest; `beside`: the same in each space of the context
    beside the texts', of how near likes are for that of a head. `word_parts` (n, m): of the m words
    looked for in the item's score of words. `features` (n, len(model.names)) on `scale`,
    `estimate`: P(relevant) by `model`. `rule_factor`, `penalty` and `rotation` make `relevance` of
    it. `rarity`: 0 to 1, how seldom the item is shown.
    """

    ids: list[str]
    rows: Ints
    vectors: Matrix
    mass: Floats
    parts: Floats
    beside: tuple[Floats, ...]
    word_parts: Floats
    evidence: Evidence
    scale: PoolScale
    features: Floats
    model: RelevanceModel
    estimate: Floats
    rule_factor: Floats
    penalty: Floats
    rotation: Floats
    relevance: Floats
    rarity: Floats


def scored(
    context: RequestContext,
    rows: Ints,
    vectors: Matrix,
    model: RelevanceModel,
    expected: Mapping[str, float],
    scale: PoolScale | None = None,
) -> Candidates:
    """Return the items in `rows` (n,), with their `vectors` (n, d), as candidates.

    Their signals are measured on `scale`, None: on the scale that they are themselves. `expected`
    is the exposure of items by id before anything was counted: see `ExpectedColumn.of`. Raises
    InvalidArgument when the filter of a rule does not fit the catalogue.
    """
    state, request, columns = context.state, context.request, context.state.columns
    ids = columns.ids.of_each(rows.tolist())
    mass = columns.mass(rows)
    parts = nearest_parts(vectors, context.interests)
    beside = tuple(each.parts(rows) for each in context.beside)
    word_parts = context.parts_of_words(rows).T
    evidence = _evidence(context, rows, vectors, mass, parts, beside, word_parts)
    if scale is None:
        nothing = np.zeros(SIGNALS + len(context.given_spaces))
        scale = PoolScale.of(evidence) if ids else PoolScale(nothing, nothing)
    values = features(evidence, context.taste, scale)
    estimate = model.probability(values)
    rule_factor = rule_factors(request.odds_rules, context.scope, ids, rows)
    penalty = columns.penalty(rows, context.scope.now)
    rotation = _rotation(request.rotation, context.shown, ids, context.scope.now)
    mean_count, exposure = columns.mean_exposure(), np.zeros(len(rows))
    if mean_count:
        # Where nothing is recorded nothing would tell that what is rare has been shown meanwhile.
        usual = state.expected.of(expected, rows)
        exposure = blended(usual, columns.exposure(rows) * mean_count, mean_count)
    return Candidates(
        ids=ids,
        rows=rows,
        vectors=vectors,
        mass=mass,
        parts=parts,
        beside=beside,
        word_parts=word_parts,
        evidence=evidence,
        scale=scale,
        features=values,
        model=model,
        estimate=estimate,
        rule_factor=rule_factor,
        penalty=penalty,
        rotation=rotation,
        relevance=adjusted(estimate, rule_factor, penalty, rotation),
        rarity=rarity(exposure),
    )


def rule_factors(rules: Sequence[OddsRule], scope: Scope, ids: Sequence[str], rows: Ints) -> Floats:
    """Return what `rules` multiply the odds of items by, (n,); `ids` and `rows` (n,) of the items.

    Raises InvalidArgument when the filter of a rule does not fit the catalogue.
    """
    factors = np.ones(len(rows))
    for rule in rules:
        factors[_matching(rule, scope, ids, rows)] *= rule.factor
    return factors


def _evidence(
    context: RequestContext,
    rows: Ints,
    vectors: Matrix,
    mass: Floats,
    parts: Floats,
    beside: Sequence[Floats],
    word_parts: Floats,
) -> Evidence:
    behaviour = context.behaviour
    cosines = [parts_beside.sum(axis=1) for parts_beside in beside]
    blank = context.state.index.are_blank(rows)
    for of_space, each_space in zip(cosines, context.beside, strict=True):
        # A head adapts whatever has a text.
        if blank is not None or each_space.space.declared is not None:
            of_space[~each_space.space.has(rows)] = np.nan
    scores, support = np.zeros((2, len(rows))), np.zeros(len(rows))
    if context.taste.likes or len(context.led.scores.numbers):
        # Where nothing leads by behaviour, it says nothing of anybody's support either.
        numbers = context.state.numbers.of(behaviour.number_of, rows)
        scores = context.led.scores.at(numbers)
        support = np.where(numbers >= 0, behaviour.support(numbers), 0.0)
    return observed(
        vectors,
        parts,
        context.disliked,
        scores,
        support,
        mass,
        context.popularity,
        word_parts.sum(axis=1),
        adapted=cosines[0] if len(cosines) > len(context.given_spaces) else None,
        spaces=cosines[len(cosines) - len(context.given_spaces) :],
        blank=blank,
    )


def _matching(rule: OddsRule, scope: Scope, ids: Sequence[str], rows: Ints) -> Mask:
    if rule.filter is None:
        return np.array([item_id in rule.item_ids for item_id in ids], np.bool_)
    try:
        return scope.matches(rule.filter, rows)
    except FilterTypeError as error:
        field = f"rules[{rule.position}].filter.{error.path}"
        raise InvalidArgument(Violation(field, error.message)) from None


def _rotation(
    rotation: Rotation | None, shown: Mapping[str, int], ids: Sequence[str], now: int
) -> Floats:
    if rotation is None or not shown:
        return np.zeros(len(ids))
    ages = now - np.array([shown.get(item_id, -np.inf) for item_id in ids], np.float64)
    return faded(rotation.rate, rotation.half_life, ages)
