"""From answers to messages."""

from collections.abc import Mapping

import numpy as np
from google.protobuf import duration_pb2
from longtail.v1 import recommendation_service_pb2 as pb

from server.candidates import Pool
from server.ranking.interest import Part
from server.ranking.popularity import Bucket
from server.ranking.quota import Selection
from server.recommender import Answer
from server.services.item_messages import item_message
from server.store.records import StoredItem

BUCKETS = {Bucket.HEAD: pb.BUCKET_HEAD, Bucket.MID: pb.BUCKET_MID, Bucket.TAIL: pb.BUCKET_TAIL}
PART_REASONS = {
    Part.QUERY: pb.REASON_QUERY,
    Part.EXAMPLES: pb.REASON_EXAMPLES,
    Part.HISTORY: pb.REASON_HISTORY,
}
EXPLAINS_REASONS = (pb.EXPLAIN_UNSPECIFIED, pb.EXPLAIN_REASONS, pb.EXPLAIN_FULL)
EXPLAINS_SCORES = (pb.EXPLAIN_UNSPECIFIED, pb.EXPLAIN_FULL)


def recommendations(
    answer: Answer, items: Mapping[str, StoredItem], request: pb.RecommendRequest
) -> list[pb.Recommendation]:
    """Return the list of an answer, as much of it explained as was asked for."""
    if answer.selection is None:
        return []
    results = []
    for place in range(len(answer.selection.chosen)):
        result = listed(answer.pool, answer.selection, place)
        stored = items.get(result.item_id)
        if stored is not None:
            result.title = stored.content.title
            if request.include_items:
                result.item.CopyFrom(item_message(stored))
        if request.explain not in EXPLAINS_REASONS:
            del result.reasons[:]
        if request.explain not in EXPLAINS_SCORES:
            result.ClearField("breakdown")
        results.append(result)
    return results


def listed(pool: Pool, selection: Selection, place: int) -> pb.Recommendation:
    """Return the item at `place`, from 0, of a list, with reasons and breakdown."""
    position = int(selection.chosen[place])
    result = candidate(pool, selection, position)
    result.rank = place + 1
    result.breakdown.relevance_gain = float(selection.gains[place])
    result.breakdown.tail_bonus = float(selection.bonuses[place])
    result.score = result.breakdown.relevance_gain + result.breakdown.tail_bonus
    if result.breakdown.baseline_rank > len(selection.chosen):
        # What put it into the list comes before what made it a candidate.
        result.reasons.insert(0, pb.REASON_LONG_TAIL)
    return result


def candidate(pool: Pool, selection: Selection, position: int) -> pb.Recommendation:
    """Return the candidate at `position` of the pool, listed or not, without rank and score."""
    parts = [float(part) for part in pool.similarity[position]]
    breakdown = breakdown_of(parts, float(pool.relevance[position]))
    breakdown.baseline_rank = int(selection.baseline[position])
    result = described(pool, pool.ids[position], float(pool.mass[position]), breakdown)
    if pool.interest is None:
        result.reasons.append(pb.REASON_POPULAR)
    else:
        drawn = sorted((part for part in Part if parts[part] > 0), key=lambda part: -parts[part])
        result.reasons.extend(PART_REASONS[part] for part in drawn)
    return result


def described(pool: Pool, item_id: str, mass: float, breakdown: pb.Breakdown) -> pb.Recommendation:
    """Return any item of the catalogue with its popularity added to `breakdown`."""
    of_one = np.array([mass])
    breakdown.popularity = mass
    breakdown.popularity_percentile = float(pool.scale.percentile(of_one)[0])
    bucket = BUCKETS[Bucket(pool.scale.bucket(of_one)[0])]
    return pb.Recommendation(item_id=item_id, bucket=bucket, breakdown=breakdown)


def breakdown_of(parts: list[float], relevance: float) -> pb.Breakdown:
    """Return the part of a breakdown that needs no list."""
    query, examples, history = parts
    return pb.Breakdown(
        similarity=query + examples + history,
        from_query=query,
        from_examples=examples,
        from_history=history,
        relevance=relevance,
    )


def list_metrics(answer: Answer) -> pb.ListMetrics:
    """Return what the list is like as a whole."""
    if answer.selection is None:
        return pb.ListMetrics()
    pool = answer.pool
    percentiles = pool.scale.percentile(pool.mass[answer.selection.chosen])
    return pb.ListMetrics(
        tail_fraction=answer.selection.tail_fraction,
        mean_popularity_percentile=float(percentiles.mean()),
        relevance_loss=answer.selection.loss,
        intra_list_diversity=answer.intra_list_diversity,
    )


def duration(seconds: float) -> duration_pb2.Duration:
    """Return a span of time."""
    message = duration_pb2.Duration()
    message.FromNanoseconds(round(seconds * 1e9))
    return message
