"""From answers to messages."""

from collections.abc import Mapping

from google.protobuf import duration_pb2, timestamp_pb2
from longtail.v1 import item_pb2
from longtail.v1 import recommendation_service_pb2 as pb

from server.candidates import Pool
from server.ranking.interest import Part
from server.ranking.popularity import Bucket
from server.ranking.quota import Selection
from server.recommender import Answer
from server.store.records import StoredItem

BUCKETS = {Bucket.HEAD: pb.BUCKET_HEAD, Bucket.MID: pb.BUCKET_MID, Bucket.TAIL: pb.BUCKET_TAIL}
PART_REASONS = {
    Part.QUERY: pb.REASON_QUERY,
    Part.EXAMPLES: pb.REASON_EXAMPLES,
    Part.HISTORY: pb.REASON_HISTORY,
}
EXPLAINS_REASONS = (pb.EXPLAIN_UNSPECIFIED, pb.EXPLAIN_REASONS, pb.EXPLAIN_FULL)
EXPLAINS_SCORES = (pb.EXPLAIN_UNSPECIFIED, pb.EXPLAIN_FULL)


def item_message(stored: StoredItem) -> item_pb2.Item:
    """Return an item, without its vector."""
    content = stored.content
    message = item_pb2.Item(
        id=content.id,
        title=content.title,
        text=content.text,
        popularity_prior=content.prior,
        create_time=_timestamp(stored.create_time),
        update_time=_timestamp(stored.update_time),
    )
    message.attributes.update(content.attributes)
    return message


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
    result = described(pool, pool.ids[position], breakdown)
    if pool.interest is None:
        result.reasons.append(pb.REASON_POPULAR)
    else:
        drawn = sorted((part for part in Part if parts[part] > 0), key=lambda part: -parts[part])
        result.reasons.extend(PART_REASONS[part] for part in drawn)
    return result


def described(pool: Pool, item_id: str, breakdown: pb.Breakdown) -> pb.Recommendation:
    """Return any item of the catalogue with its popularity added to `breakdown`."""
    [row] = pool.ranked.rows([item_id])
    popularity = pool.ranked.popularity
    breakdown.popularity = float(popularity.mass[row])
    breakdown.popularity_percentile = float(popularity.percentile[row])
    bucket = BUCKETS[Bucket(popularity.bucket[row])]
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
    rows = answer.pool.rows[answer.selection.chosen]
    return pb.ListMetrics(
        tail_fraction=answer.selection.tail_fraction,
        mean_popularity_percentile=float(answer.pool.ranked.popularity.percentile[rows].mean()),
        relevance_loss=answer.selection.loss,
        intra_list_diversity=answer.intra_list_diversity,
    )


def duration(seconds: float) -> duration_pb2.Duration:
    """Return a span of time."""
    message = duration_pb2.Duration()
    message.FromNanoseconds(round(seconds * 1e9))
    return message


def _timestamp(microseconds: int) -> timestamp_pb2.Timestamp:
    message = timestamp_pb2.Timestamp()
    message.FromMicroseconds(microseconds)
    return message
