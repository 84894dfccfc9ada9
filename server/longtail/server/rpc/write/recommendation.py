"""Items of an answer as messages, as much of each explained as was asked for."""

from collections.abc import Sequence

import numpy as np
from longtail.server.catalogue.columns.columns import NO_ROW
from longtail.server.catalogue.columns.values import shared_attributes
from longtail.server.ranking.evidence import FEATURES
from longtail.server.ranking.interest import Matrix
from longtail.server.ranking.listing import Listing
from longtail.server.ranking.popularity import Bucket
from longtail.server.ranking.profile import Context
from longtail.server.recommend.answer import Answer
from longtail.server.recommend.context import NO_POSITION, Floats, Ints, Liked, RequestContext
from longtail.server.recommend.scoring import Candidates
from longtail.v1 import recommendation_service_pb2 as pb

FULL = (pb.EXPLAIN_UNSPECIFIED, pb.EXPLAIN_FULL)
# By the number of the bucket.
BUCKETS = (pb.BUCKET_HEAD, pb.BUCKET_MID, pb.BUCKET_TAIL)
# In the order of interest's Part, then that of behaviour.
REASONS = (pb.REASON_QUERY, pb.REASON_EXAMPLES, pb.REASON_HISTORY, pb.REASON_BEHAVIOUR)
OF_BEHAVIOUR = np.array(["behaviour" in feature for feature in FEATURES])
OF_TEXT = np.array(["text" in feature for feature in FEATURES]) & ~OF_BEHAVIOUR
# Multiplied with log odds, their sums by text and by behaviour.
BY_SOURCE = np.stack([OF_TEXT, OF_BEHAVIOUR]).astype(np.float64).T
_TAIL = int(Bucket.TAIL)


def listed(answer: Answer, explain: pb.Explain) -> list[pb.Recommendation]:
    """Return the list of an answer; what is not to be explained is not computed."""
    listing, candidates = answer.listing, answer.candidates
    if listing is None:
        return []
    chosen = listing.chosen
    bonuses = listing.gains + listing.tail_bonuses + listing.coverage_bonuses
    results = _described(
        answer.context,
        candidates,
        chosen,
        in_words=explain != pb.EXPLAIN_NONE,
        in_full=explain in FULL,
        placed_by=_placing_reasons(listing, candidates.evidence.bucket[chosen].tolist()),
    )
    scores = (bonuses + listing.taste_share).tolist()
    propensities, offset = listing.propensities.tolist(), answer.offset
    for place, result in enumerate(results):
        result.rank = offset + place + 1
        result.score = scores[place]
        result.propensity = propensities[place]
    if explain in FULL:
        _add_gains(results, listing, offset)
    return results


def unlisted(context: RequestContext, candidates: Candidates, position: int) -> pb.Recommendation:
    """Return a candidate that is in no list, explained in full. It has neither rank nor score."""
    [result] = _described(
        context, candidates, np.array([position]), in_words=True, in_full=True, placed_by=[None]
    )
    return result


def _described(
    context: RequestContext,
    candidates: Candidates,
    positions: Ints,
    *,
    in_words: bool,
    in_full: bool,
    placed_by: "Sequence[pb.Reason | None]",
) -> list[pb.Recommendation]:
    rows = candidates.rows[positions]
    titles, ids = context.state.columns.titles, candidates.ids
    buckets = candidates.evidence.bucket[positions].tolist()
    results = [
        pb.Recommendation(item_id=ids[at], title=titles[row], bucket=BUCKETS[bucket])
        for at, row, bucket in zip(positions.tolist(), rows.tolist(), buckets, strict=True)
    ]
    if in_words:
        for result, first, reasons in zip(
            results, placed_by, _relevance_reasons(context, candidates, positions), strict=True
        ):
            result.reasons.extend(reasons if first is None else [first, *reasons])
        _add_nearest(results, context, candidates.vectors[positions], rows)
    if in_full:
        _add_breakdowns(results, context, candidates, positions)
    return results


def _placing_reasons(listing: Listing, buckets: Sequence[int]) -> "list[pb.Reason | None]":
    """Return what put each item into the list; None: its relevance did."""
    chosen, k = listing.chosen, len(listing.chosen)
    baseline = listing.baseline[chosen]
    if listing.capped.any():
        # What the caps left out would not have had a place without the tail's price either.
        before = np.sort(listing.baseline[listing.capped]).searchsorted(baseline)
        baseline = baseline - before
    rows = zip(
        listing.pinned.tolist(), listing.explored.tolist(), baseline.tolist(), buckets, strict=True
    )
    return [
        pb.REASON_PINNED
        if pinned
        else pb.REASON_EXPLORATION
        if explored
        else pb.REASON_LONG_TAIL
        if bucket == _TAIL and rank > k
        else None
        for pinned, explored, rank, bucket in rows
    ]


def _relevance_reasons(
    context: RequestContext, candidates: Candidates, positions: Ints
) -> "list[list[pb.Reason]]":
    """Return what makes each item relevant, whatever list it is in, the weightiest first.

    All weights are log odds: those of the text are shared by the parts of the interest that draw
    the item near, as the cosine is.
    """
    boosted = (candidates.rule_factor[positions] > 1).tolist()
    if context.kind is Context.NOTHING:
        drawn = [[pb.REASON_POPULAR] for _ in boosted]
    else:
        log_odds = candidates.model.weights * candidates.features[positions]
        columns = (
            (log_odds @ BY_SOURCE).tolist(),
            candidates.parts[positions].tolist(),
            candidates.evidence.behaviour[positions].tolist(),
        )
        drawn = [_drawn(*of_one) for of_one in zip(*columns, strict=True)]
    return [
        [pb.REASON_BOOSTED, *reasons] if raised else reasons
        for raised, reasons in zip(boosted, drawn, strict=True)
    ]


def _drawn(sources: list[float], parts: list[float], behaviour: float) -> "list[pb.Reason]":
    of_text, of_behaviour = max(0.0, sources[0]), sources[1]
    whole = sum(part for part in parts if part > 0)
    # With the cosine beside the weight, which is zero for all where the text speaks against it.
    # Among equals the first part comes first.
    weighed = [(of_text * part / whole, part, -at) for at, part in enumerate(parts) if part > 0]
    # Where behaviour counts, what nobody has met with borrows from its text; and what behaviour
    # found, though less strongly than others, may have nothing else.
    if behaviour > 0 and (of_behaviour > 0 or not weighed):
        weighed.append((of_behaviour, 0.0, -len(parts)))
    weighed.sort(reverse=True)
    return [REASONS[-at] for _, _, at in weighed]


def _add_nearest(
    results: Sequence[pb.Recommendation], context: RequestContext, vectors: Matrix, rows: Ints
) -> None:
    """Say of each result what of the history and of the examples it is most like, and in what."""
    liked = context.liked
    if not len(liked.vectors):
        return
    found, cosines = _nearest(liked, vectors, rows)
    others = np.where(cosines > 0, liked.rows[found], NO_ROW)
    columns = context.state.columns
    shared = shared_attributes(columns.attributes, rows, others)
    titles = columns.titles
    each = zip(results, found.tolist(), cosines.tolist(), others.tolist(), shared, strict=True)
    for result, at, cosine, row, attributes in each:
        if cosine <= 0:
            continue
        nearest = result.nearest_example
        nearest.similarity = cosine
        if liked.positions[at] != NO_POSITION:
            nearest.example = liked.positions[at]
        if row != NO_ROW:
            nearest.item_id = liked.item_ids[at]
            nearest.title = titles[row]
            if attributes:
                result.matching_attributes.extend(attributes)


def _nearest(liked: Liked, vectors: Matrix, rows: Ints) -> tuple[Ints, Floats]:
    """Return which of what was liked each of `vectors` (n, d) is most like, and the cosines.

    `rows` (n,): of the items; none is compared with itself.
    """
    cosines = vectors @ liked.vectors.T
    cosines[(rows[:, None] == liked.rows) & (liked.rows != NO_ROW)] = -np.inf
    found = cosines.argmax(axis=1)
    return found, cosines[np.arange(len(rows)), found]


def _add_breakdowns(
    results: Sequence[pb.Recommendation],
    context: RequestContext,
    candidates: Candidates,
    positions: Ints,
) -> None:
    """Say of each result what its relevance is made of: all of it that needs no list."""
    model = candidates.model
    weighed = np.flatnonzero(model.weights)
    names = [FEATURES[at] for at in weighed.tolist()]
    added = (model.weights * candidates.features[positions])[:, weighed].tolist()
    mass = candidates.mass[positions]
    columns = zip(
        results,
        added,
        candidates.parts[positions].tolist(),
        candidates.evidence.behaviour[positions].tolist(),
        candidates.estimate[positions].tolist(),
        candidates.rule_factor[positions].tolist(),
        candidates.penalty[positions].tolist(),
        candidates.rotation[positions].tolist(),
        candidates.relevance[positions].tolist(),
        mass.tolist(),
        context.popularity.percentile(mass).tolist(),
        strict=True,
    )
    term = pb.RelevanceTerm
    intercept = term(feature="intercept", log_odds=model.intercept)
    for (
        result,
        log_odds,
        (query, examples, history),
        behaviour,
        estimate,
        rule_factor,
        penalty,
        rotation,
        relevance,
        popularity,
        percentile,
    ) in columns:
        terms = [term(feature=name, log_odds=each) for name, each in zip(names, log_odds)]  # noqa: B905 (as many)
        result.breakdown.MergeFrom(
            pb.Breakdown(
                similarity=query + examples + history,
                from_query=query,
                from_examples=examples,
                from_history=history,
                behaviour=behaviour,
                terms=[intercept, *terms],
                estimate=estimate,
                rule_factor=rule_factor,
                penalty=penalty,
                rotation=rotation,
                relevance=relevance,
                popularity=popularity,
                popularity_percentile=percentile,
            )
        )


def _add_gains(results: Sequence[pb.Recommendation], listing: Listing, offset: int) -> None:
    columns = zip(
        results,
        listing.gains.tolist(),
        listing.tail_bonuses.tolist(),
        listing.coverage_bonuses.tolist(),
        listing.baseline[listing.chosen].tolist(),
        strict=True,
    )
    for result, gain, tail_bonus, coverage_bonus, baseline in columns:
        breakdown = result.breakdown
        breakdown.relevance_gain = gain
        breakdown.tail_bonus = tail_bonus
        breakdown.coverage_bonus = coverage_bonus
        breakdown.taste_share = listing.taste_share
        breakdown.baseline_rank = offset + baseline
