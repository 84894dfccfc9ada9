"""Items of an answer as the fields of messages, as much of each explained as was asked for."""

import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import compress
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
from numpy.typing import NDArray

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
# Of a Breakdown, what an item adds to the objective of its list.
GAINS = ("relevance_gain", "tail_bonus", "coverage_bonus", "taste_share")
# The numbers of a Breakdown, in the order in which they are computed.
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
    *GAINS,
)
OF_BEHAVIOUR = np.array(["behaviour" in feature for feature in FEATURES])
OF_WORDS = np.array(["words" in feature for feature in FEATURES]) & ~OF_BEHAVIOUR
OF_TEXT = np.array(["text" in feature for feature in FEATURES]) & ~(OF_BEHAVIOUR | OF_WORDS)
# Multiplied with log odds, their sums by text, by behaviour and by words.
BY_SOURCE = np.stack([OF_TEXT, OF_BEHAVIOUR, OF_WORDS]).astype(np.float64).T
_TAIL = int(Bucket.TAIL)
# What vectors of one kind add to the log odds, and the parts of their cosine.
Drawing: TypeAlias = tuple[float, list[float]]


def listed(
    answer: Answer,
    explain: pb.Explain,
    new: Callable[..., pb.Recommendation] = pb.Recommendation,
) -> list[pb.Recommendation]:
    """Return the list of an answer, each a `new` message; what is not explained is not computed."""
    listing, candidates = answer.listing, answer.candidates
    if listing is None:
        return []
    results = _described(
        answer.context,
        candidates,
        listing.chosen,
        in_words=explain != pb.EXPLAIN_NONE,
        in_full=explain in FULL,
        listing=listing,
    )
    bonuses = listing.gains + listing.tail_bonuses + listing.coverage_bonuses
    scores = (bonuses + listing.taste_share).tolist()
    ranks = listing.baseline[listing.chosen].tolist()
    places = zip(results, scores, listing.propensities.tolist(), ranks, strict=True)
    offset = answer.offset
    for rank, ((fields, numbers), score, propensity, baseline) in enumerate(places, offset + 1):
        fields["rank"] = rank
        fields["score"] = score
        fields["propensity"] = propensity
        if numbers:
            fields["breakdown"]["baseline_rank"] = offset + baseline
    messages = []
    for fields, numbers in results:
        message = new(**fields)
        if numbers:
            message.breakdown.MergeFromString(numbers)
        messages.append(message)
    return messages


def unlisted(
    context: RequestContext, candidates: Candidates, position: int, baseline_rank: int
) -> pb.Recommendation:
    """Return a candidate that is in no list, explained in full. It has neither rank nor score."""
    [(fields, numbers)] = _described(
        context, candidates, np.array([position]), in_words=True, in_full=True
    )
    fields["breakdown"]["baseline_rank"] = baseline_rank
    message = pb.Recommendation(**fields)
    message.breakdown.MergeFromString(numbers)
    return message


def _described(
    context: RequestContext,
    candidates: Candidates,
    positions: Ints,
    *,
    in_words: bool,
    in_full: bool,
    listing: Listing | None = None,
) -> list[tuple[Fields, bytes]]:
    """Return the fields of each, and as bytes the numbers of its breakdown, empty without one."""
    rows = candidates.rows[positions]
    titles, ids = context.state.columns.titles, candidates.ids
    buckets = candidates.evidence.bucket[positions].tolist()
    results: list[Fields] = [
        {"item_id": ids[at], "title": titles[row], "bucket": BUCKETS[bucket]}
        for at, row, bucket in zip(positions.tolist(), rows.tolist(), buckets, strict=True)
    ]
    if not in_words:
        return [(fields, b"") for fields in results]
    log_odds = candidates.model.weights * candidates.features[positions]
    reasons = _relevance_reasons(context, candidates, positions, log_odds)
    if listing is not None:
        _put_first(reasons, listing, buckets)
    for fields, each in zip(results, reasons, strict=True):
        fields["reasons"] = each
    _add_matched_words(results, context, candidates.word_parts[positions])
    _add_nearest(results, context, candidates.vectors[positions], rows)
    if not in_full:
        return [(fields, b"") for fields in results]
    _add_breakdowns(results, context, candidates, positions)
    numbers = _numbers(context, candidates, positions, log_odds, listing)
    return list(zip(results, numbers, strict=True))


def _put_first(
    reasons: "Sequence[list[pb.Reason]]", listing: Listing, buckets: Sequence[int]
) -> None:
    """Put what brought each item into the list in front, where that is not its relevance."""
    chosen, k = listing.chosen, len(listing.chosen)
    baseline = listing.baseline[chosen]
    if listing.capped.any():
        # What the caps left out would not have had a place without the tail's price either.
        before = np.sort(listing.baseline[listing.capped]).searchsorted(baseline)
        baseline = baseline - before
    rows = zip(
        reasons,
        listing.pinned.tolist(),
        listing.explored.tolist(),
        baseline.tolist(),
        buckets,
        strict=True,
    )
    for of_one, pinned, explored, rank, bucket in rows:
        if pinned:
            of_one.insert(0, pb.REASON_PINNED)
        elif explored:
            of_one.insert(0, pb.REASON_EXPLORATION)
        elif bucket == _TAIL and rank > k:
            of_one.insert(0, pb.REASON_LONG_TAIL)


def _relevance_reasons(
    context: RequestContext, candidates: Candidates, positions: Ints, log_odds: Floats
) -> "list[list[pb.Reason]]":
    """Return what makes each item relevant, whatever list it is in, the weightiest first.

    All weights are log odds (n, features): those of the text, and of vectors beside it, are shared
    by the parts of the interest that draw the item near, as the cosine is.
    """
    boosted = (candidates.rule_factor[positions] > 1).tolist()
    if context.kind is Context.NOTHING:
        drawn = [[pb.REASON_POPULAR] for _ in boosted]
    else:
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
    of_text, of_behaviour, of_words = sources
    # With the cosine beside the weight, which is zero for all where the text speaks against it.
    # Among equals the first part comes first.
    weights, cosines = [0.0] * len(parts), [0.0] * len(parts)
    for of_vectors, drawing in ((of_text, parts), *beside):
        whole = 0.0
        for part in drawing:
            if part > 0:
                whole += part
        for at, part in enumerate(drawing):
            if part > 0:
                weights[at] += max(0.0, of_vectors) * part / whole
                cosines[at] = max(cosines[at], part)
    weighed = []
    for at, cosine in enumerate(cosines):
        if cosine > 0:
            weighed.append((weights[at], cosine, -at))
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
    for result, held in zip(results, (word_parts > 0).tolist(), strict=True):
        result["matched_words"] = list(compress(context.sought.words, held))


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
    cosines[rows[:, None] == liked.rows] = -np.inf
    found = cosines.argmax(axis=1)
    return found, cosines[np.arange(len(rows)), found]


def _add_breakdowns(
    results: Sequence[Fields],
    context: RequestContext,
    candidates: Candidates,
    positions: Ints,
) -> None:
    """Say of each result what of a breakdown is not a number that all of them have."""
    penalties = candidates.penalty[positions].tolist()
    beside = [of_space[positions].tolist() for of_space in candidates.beside]
    names = [each.space.name for each in context.beside]
    for at, (result, penalty) in enumerate(zip(results, penalties, strict=True)):
        breakdown: Fields = {}
        if penalty:
            ruling = context.state.columns.ruling_of(result["item_id"], context.scope.now)
            if ruling is not None and ruling.kind is DecisionKind.PENALISE:
                breakdown["penalty_decision"] = ruling.revision
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


def _numbers(
    context: RequestContext,
    candidates: Candidates,
    positions: Ints,
    log_odds: Floats,
    listing: Listing | None,
) -> list[bytes]:
    """Return what the relevance of each is made of, and its gains in the list, as it is sent."""
    model, mass = candidates.model, candidates.mass[positions]
    parts = candidates.parts[positions]
    weighed = model.weights.nonzero()[0]
    content, places = _form(tuple([model.names[at] for at in weighed.tolist()]))
    values = np.zeros((len(positions), len(BREAKDOWN) + 1 + len(weighed)))
    values[:, : len(BREAKDOWN) - len(GAINS)] = np.array(
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
    if listing is not None:
        gains = (listing.gains, listing.tail_bonuses, listing.coverage_bonuses)
        values[:, len(BREAKDOWN) - len(GAINS) : len(BREAKDOWN) - 1] = np.array(gains).T
        values[:, len(BREAKDOWN) - 1] = listing.taste_share
    values[:, len(BREAKDOWN)] = model.intercept
    values[:, len(BREAKDOWN) + 1 :] = log_odds[:, weighed]
    filled = np.empty((len(positions), len(content)), np.uint8)
    filled[:] = content
    filled[:, places] = values.view(np.uint8)
    return [each.tobytes() for each in filled]


@lru_cache(maxsize=64)
def _form(features: tuple[str, ...]) -> tuple[NDArray[np.uint8], Ints]:
    """Return a Breakdown with these terms as it is sent, and where the bytes of its numbers stand.

    To fill in the numbers of a list takes a third of the time that it takes to make its messages.
    """
    terms = ["intercept", *features]
    # The last byte of each is in no text, and no two are the same.
    marks = [-1e300 * (1 + at / 1024) for at in range(len(BREAKDOWN) + len(terms))]
    marked: Fields = dict(zip(BREAKDOWN, marks, strict=False))
    marked["terms"] = [
        {"feature": name, "log_odds": mark}
        for name, mark in zip(terms, marks[len(BREAKDOWN) :], strict=True)
    ]
    content = pb.Breakdown(**marked).SerializeToString()
    starts = [content.index(struct.pack("<d", mark)) for mark in marks]
    places = np.array(starts)[:, None] + np.arange(8)
    return np.frombuffer(content, np.uint8), places.ravel()
