"""The results of an answer, as much of each explained as was asked for."""

from collections.abc import Mapping

import numpy as np
from longtail.server.ranking.listing import Listing
from longtail.server.ranking.popularity import Bucket
from longtail.server.recommend.answer import Answer, Placed
from longtail.server.recommend.pool import Floats
from longtail.server.rpc.write.breakdowns import breakdown_of, placed_at
from longtail.server.rpc.write.item import item_message
from longtail.server.rpc.write.nearest import Likenesses, item_ids, nearest
from longtail.server.rpc.write.reasons import placing_reason, relevance_reasons
from longtail.server.store.items import ItemRecords
from longtail.server.store.records import StoredItem
from longtail.v1 import recommendation_service_pb2 as pb

BUCKETS = {Bucket.HEAD: pb.BUCKET_HEAD, Bucket.MID: pb.BUCKET_MID, Bucket.TAIL: pb.BUCKET_TAIL}
FULL = (pb.EXPLAIN_UNSPECIFIED, pb.EXPLAIN_FULL)


def results(
    answer: Answer, records: ItemRecords, explain: pb.Explain, *, include_items: bool
) -> list[pb.Recommendation]:
    """Return the list of an answer; what is not to be explained is not computed."""
    listing, pool = answer.listing, answer.pool
    if listing is None:
        return []
    chosen = listing.chosen
    in_list = [_listed(answer, listing, place) for place in range(len(chosen))]
    with_reasons, in_full = explain != pb.EXPLAIN_NONE, explain in FULL
    liked = nearest(pool.liked, pool.vectors[chosen], pool.rows[chosen]) if with_reasons else []
    items = records.get({result.item_id for result in in_list} | item_ids(liked))
    likenesses = Likenesses(items)
    buckets, percentiles = _standing(answer, pool.mass[chosen])
    for place, result in enumerate(in_list):
        result.bucket = BUCKETS[buckets[place]]
        _add_item(result, items, include=include_items)
        if with_reasons:
            placed = placed_at(pool, int(chosen[place]))
            reason = placing_reason(listing, place, buckets[place])
            result.reasons.extend([] if reason is None else [reason])
            result.reasons.extend(relevance_reasons(placed, pool.context, pool.model))
            likenesses.describe(result, liked[place])
            if in_full:
                result.breakdown.CopyFrom(breakdown_of(placed, pool.model, percentiles[place]))
                _add_gains(result.breakdown, answer, listing, place)
    return in_list


def unlisted(
    answer: Answer,
    records: ItemRecords,
    item_id: str,
    placed: Placed,
    baseline_rank: int,
    *,
    include_item: bool,
) -> pb.Recommendation:
    """Return an item that the list of an answer does not hold, explained in full.

    It has neither rank nor score.
    """
    pool, state = answer.pool, answer.state
    rows = state.columns.rows_at([item_id], answer.scope.revision)
    [liked] = nearest(pool.liked, state.index.vectors(rows), rows)
    items = records.get({item_id} | item_ids([liked]))
    [bucket], [percentile] = _standing(answer, np.array([placed.mass]))
    result = pb.Recommendation(
        item_id=item_id,
        bucket=BUCKETS[bucket],
        reasons=relevance_reasons(placed, pool.context, pool.model),
        breakdown=breakdown_of(placed, pool.model, percentile),
    )
    result.breakdown.baseline_rank = baseline_rank
    _add_item(result, items, include=include_item)
    Likenesses(items).describe(result, liked)
    return result


def _listed(answer: Answer, listing: Listing, place: int) -> pb.Recommendation:
    return pb.Recommendation(
        item_id=answer.pool.ids[listing.chosen[place]],
        rank=answer.offset + place + 1,
        score=float(listing.gains[place])
        + float(listing.tail_bonuses[place])
        + float(listing.coverage_bonuses[place])
        + listing.taste_share,
        propensity=float(listing.propensities[place]),
    )


def _add_gains(breakdown: pb.Breakdown, answer: Answer, listing: Listing, place: int) -> None:
    breakdown.relevance_gain = float(listing.gains[place])
    breakdown.tail_bonus = float(listing.tail_bonuses[place])
    breakdown.coverage_bonus = float(listing.coverage_bonuses[place])
    breakdown.taste_share = listing.taste_share
    breakdown.baseline_rank = answer.offset + int(listing.baseline[listing.chosen[place]])


def _add_item(result: pb.Recommendation, items: Mapping[str, StoredItem], *, include: bool) -> None:
    # It may have been removed since the answer was made.
    stored = items.get(result.item_id)
    if stored is not None:
        result.title = stored.content.title
        if include:
            result.item.CopyFrom(item_message(stored))


def _standing(answer: Answer, mass: Floats) -> tuple[list[Bucket], list[float]]:
    scale = answer.pool.popularity_scale
    return [Bucket(bucket) for bucket in scale.bucket(mass)], scale.percentile(mass).tolist()
