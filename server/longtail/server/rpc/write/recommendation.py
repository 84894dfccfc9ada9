"""Items of an answer as the fields of messages, as much of each explained as was asked for."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from longtail.server.catalogue.columns.columns import NO_ROW
from longtail.server.catalogue.columns.values import shared_attributes
from longtail.server.ranking.evidence import FEATURES
from longtail.server.ranking.interest import Matrix, Part
from longtail.server.ranking.listing import Listing
from longtail.server.ranking.popularity import Bucket
from longtail.server.ranking.profile import Context
from longtail.server.recommend.answer import Answer
from longtail.server.recommend.context import NO_POSITION, Floats, Ints, Liked, RequestContext
from longtail.server.recommend.scoring import Candidates
from longtail.server.store.records import DecisionKind
from longtail.v1 import recommendation_service_pb2 as pb

# The fields of a Recommendation: protobuf fills a message from them in half the time that it takes
# to copy one message into another.
Fields: TypeAlias = dict[str, Any]

FULL = (pb.EXPLAIN_UNSPECIFIED, pb.EXPLAIN_FULL)
# By the number of the bucket.
BUCKETS = (pb.BUCKET_HEAD, pb.BUCKET_MID, pb.BUCKET_TAIL)
# In the order of interest's Part, then those of behaviour and of words.
REASONS = (
    pb.REASON_QUERY,
    pb.REASON_EXAMPLES,
    pb.REASON_HISTORY,
    pb.REASON_BEHAVIOUR,
    pb.REASON_WORDS,
)
# Of a Breakdown, in the order in which they are computed.
BREAKDOWN = (
    "similarity",
    "from_query",
    "from_examples",
    "from_history",
    "words",
    "behaviour",
    "estimate",
    "rule_factor",
    "penalty",
    "rotation",
    "relevance",
    "popularity",
    "popularity_percentile",
)
OF_BEHAVIOUR = np.array(["behaviour" in feature for feature in FEATURES])
OF_WORDS = np.array(["words" in feature for feature in FEATURES]) & ~OF_BEHAVIOUR
OF_TEXT = np.array(["text" in feature for feature in FEATURES]) & ~(OF_BEHAVIOUR | OF_WORDS)
# Multiplied with log odds, their sums by text, by behaviour and by words.
BY_SOURCE = np.stack([OF_TEXT, OF_BEHAVIOUR, OF_WORDS]).astype(np.float64).T
_TAIL = int(Bucket.TAIL)
# What vectors of one kind add to the log odds, and the parts of their cosine.
Drawing: TypeAlias = tuple[float, list[float]]


def listed(answer: Answer, explain: pb.Explain) -> list[Fields]:
    """Return the list of an answer; what is not to be explained is not computed."""
    listing, candidates = answer.listing, answer.candidates
    if listing is None:
        return []
    chosen = listing.chosen
    results = _described(
        answer.context,
        candidates,
        chosen,
        in_words=explain != pb.EXPLAIN_NONE,
        in_full=explain in FULL,
        placed_by=_placing_reasons(listing, candidates.evidence.bucket[chosen].tolist()),
    )
    bonuses = listing.gains + listing.tail_bonuses + listing.coverage_bonuses
    scores = (bonuses + listing.taste_share).tolist()
    places = zip(results, scores, listing.propensities.tolist(), strict=True)
    for rank, (result, score, propensity) in enumerate(places, answer.offset + 1):
        result["rank"] = rank
        result["score"] = score
        result["propensity"] = propensity
    if explain in FULL:
        _add_gains(results, listing, answer.offset)
    return results


def unlisted(
    context: RequestContext, candidates: Candidates, position: int, baseline_rank: int
) -> Fields:
    """Return a candidate that is in no list, explained in full. It has neither rank nor score."""
    [result] = _described(
        context, candidates, np.array([position]), in_words=True, in_full=True, placed_by=[None]
    )
    result["breakdown"]["baseline_rank"] = baseline_rank
    return result


def _described(
    context: RequestContext,
    candidates: Candidates,
    positions: Ints,
    *,
    in_words: bool,
    in_full: bool,
    placed_by: "Sequence[pb.Reason | None]",
) -> list[Fields]:
    rows = candidates.rows[positions]
    titles, ids = context.state.columns.titles, candidates.ids
    buckets = candidates.evidence.bucket[positions].tolist()
    results: list[Fields] = [
        {"item_id": ids[at], "title": titles[row], "bucket": BUCKETS[bucket]}
        for at, row, bucket in zip(positions.tolist(), rows.tolist(), buckets, strict=True)
    ]
    if in_words:
        for result, first, reasons in zip(
            results, placed_by, _relevance_reasons(context, candidates, positions), strict=True
        ):
            result["reasons"] = reasons if first is None else [first, *reasons]
        _add_matched_words(results, context, candidates.word_parts[positions])
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

    All weights are log odds: those of the text, and of vectors beside it, are shared by the parts
    of the interest that draw the item near, as the cosine is.
    """
    boosted = (candidates.rule_factor[positions] > 1).tolist()
    if context.kind is Context.NOTHING:
        drawn = [[pb.REASON_POPULAR] for _ in boosted]
    else:
        log_odds = candidates.model.weights * candidates.features[positions]
        columns = (
            (log_odds[:, : len(FEATURES)] @ BY_SOURCE).tolist(),
            candidates.parts[positions].tolist(),
            candidates.evidence.behaviour[positions].tolist(),
            candidates.evidence.words[positions].tolist(),
            _beside(context, candidates, positions, log_odds),
        )
        drawn = [_drawn(*of_one) for of_one in zip(*columns, strict=True)]
    return [
        [pb.REASON_BOOSTED, *reasons] if raised else reasons
        for raised, reasons in zip(boosted, drawn, strict=True)
    ]


def _beside(
    context: RequestContext, candidates: Candidates, positions: Ints, log_odds: Floats
) -> list[list[Drawing]]:
    """Return of each result, for each space beside the texts', its log odds and the parts."""
    of_each: list[list[Drawing]] = [[] for _ in positions]
    for space, parts in zip(context.beside, candidates.beside, strict=True):
        added = log_odds[:, candidates.model.names.index(space.feature)].tolist()
        each = zip(of_each, added, parts[positions].tolist(), strict=True)
        for drawing, of_space, of_result in each:
            drawing.append((of_space, of_result))
    return of_each


def _drawn(
    sources: list[float],
    parts: list[float],
    behaviour: float,
    words: float,
    beside: Sequence[Drawing],
) -> "list[pb.Reason]":
    of_behaviour, of_words = sources[1], sources[2]
    # With the cosine beside the weight, which is zero for all where the text speaks against it.
    # Among equals the first part comes first.
    weights, cosines = [0.0] * len(parts), [0.0] * len(parts)
    for of_vectors, drawing in ((sources[0], parts), *beside):
        whole = sum(part for part in drawing if part > 0)
        for at, part in enumerate(drawing):
            if part > 0:
                weights[at] += max(0.0, of_vectors) * part / whole
                cosines[at] = max(cosines[at], part)
    weighed = [
        (weight, cosine, -at)
        for at, (weight, cosine) in enumerate(zip(weights, cosines, strict=True))
        if cosine > 0
    ]
    # Where behaviour counts, what nobody has met with borrows from its text; and what behaviour
    # found, though less strongly than others, may have nothing else.
    if behaviour > 0 and (of_behaviour > 0 or not weighed):
        weighed.append((of_behaviour, 0.0, -len(parts)))
    # What holds fewer of the words than others may have nothing else either.
    if words > 0 and (of_words > 0 or not weighed):
        weighed.append((of_words, 0.0, -len(parts) - 1))
    weighed.sort(reverse=True)
    return [REASONS[-at] for _, _, at in weighed]


def _add_matched_words(
    results: Sequence[Fields], context: RequestContext, word_parts: Floats
) -> None:
    if context.sought is None:
        return
    words = context.sought.words
    for result, parts in zip(results, word_parts.tolist(), strict=True):
        result["matched_words"] = [
            word for word, part in zip(words, parts, strict=True) if part > 0
        ]


def _add_nearest(
    results: Sequence[Fields], context: RequestContext, vectors: Matrix, rows: Ints
) -> None:
    """Say of each result what of the history and of the examples it is most like, and in what."""
    liked = context.liked
    if not len(liked.rows):
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
        nearest = result["nearest_example"] = {"similarity": cosine}
        if liked.positions[at] != NO_POSITION:
            nearest["example"] = liked.positions[at]
        if row != NO_ROW:
            nearest["item_id"] = liked.item_ids[at]
            nearest["title"] = titles[row]
            result["matching_attributes"] = attributes


def _nearest(liked: Liked, vectors: Matrix, rows: Ints) -> tuple[Ints, Floats]:
    """Return which of what was liked each of `vectors` (n, d) is most like, and the cosines.

    `rows` (n,): of the items; none is compared with itself.
    """
    cosines = vectors @ liked.vectors.T
    cosines[(rows[:, None] == liked.rows) & (liked.rows != NO_ROW)] = -np.inf
    found = cosines.argmax(axis=1)
    return found, cosines[np.arange(len(rows)), found]


def _add_breakdowns(
    results: Sequence[Fields],
    context: RequestContext,
    candidates: Candidates,
    positions: Ints,
) -> None:
    """Say of each result what its relevance is made of: all of it that needs no list."""
    model, mass = candidates.model, candidates.mass[positions]
    columns = context.state.columns
    weighed = model.weights.nonzero()[0]
    features = ["intercept", *(model.names[at] for at in weighed.tolist())]
    log_odds = np.empty((len(positions), len(features)))
    log_odds[:, 0] = model.intercept
    log_odds[:, 1:] = (model.weights * candidates.features[positions])[:, weighed]
    parts = candidates.parts[positions]
    values = np.array(
        (
            parts.sum(axis=1),
            *parts.T,
            candidates.evidence.words[positions],
            candidates.evidence.behaviour[positions],
            candidates.estimate[positions],
            candidates.rule_factor[positions],
            candidates.penalty[positions],
            candidates.rotation[positions],
            candidates.relevance[positions],
            mass,
            context.popularity.percentile(mass),
        )
    ).T
    beside = [of_space[positions].tolist() for of_space in candidates.beside]
    names = [each.space.name for each in context.beside]
    rows = zip(results, values.tolist(), log_odds.tolist(), strict=True)
    for at, (result, of_result, terms) in enumerate(rows):
        breakdown: Fields = dict(zip(BREAKDOWN, of_result, strict=True))
        if breakdown["penalty"]:
            ruling = columns.ruling_of(result["item_id"], context.scope.now)
            if ruling is not None and ruling.kind is DecisionKind.PENALISE:
                breakdown["penalty_decision"] = ruling.revision
        breakdown["terms"] = [
            {"feature": feature, "log_odds": term}
            for feature, term in zip(features, terms, strict=True)
        ]
        if beside:
            breakdown["spaces"] = [
                {
                    "space": name,
                    "similarity": sum(of_space[at]),
                    "from_examples": of_space[at][Part.EXAMPLES],
                    "from_history": of_space[at][Part.HISTORY],
                }
                for name, of_space in zip(names, beside, strict=True)
                # What has no vector there has no part.
                if any(of_space[at])
            ]
        result["breakdown"] = breakdown


def _add_gains(results: Sequence[Fields], listing: Listing, offset: int) -> None:
    columns = zip(
        results,
        listing.gains.tolist(),
        listing.tail_bonuses.tolist(),
        listing.coverage_bonuses.tolist(),
        listing.baseline[listing.chosen].tolist(),
        strict=True,
    )
    for result, gain, tail_bonus, coverage_bonus, baseline in columns:
        result["breakdown"].update(
            relevance_gain=gain,
            tail_bonus=tail_bonus,
            coverage_bonus=coverage_bonus,
            taste_share=listing.taste_share,
            baseline_rank=offset + baseline,
        )
