"""From answers to messages."""

from longtail.server.catalogue.columns.filter import Condition, Exists
from longtail.server.ranking.listing import GaveWay
from longtail.server.recommend.answer import Answer
from longtail.server.rpc.write.recommendation import Fields, listed
from longtail.v1 import recommendation_service_pb2 as pb

TAIL_GAVE_WAY = frozenset({GaveWay.TAIL_TO_BUDGET, GaveWay.TAIL_TO_CANDIDATES})


def recommend_response(answer: Answer, explain: pb.Explain) -> pb.RecommendResponse:
    """Return an answer as a message, as much of it explained as was asked for.

    It has no tokens, no items and no timings.
    """
    context = answer.context
    response = pb.RecommendResponse(
        list_metrics=_list_metrics(answer),
        policy=_effective_policy(answer),
        provenance={
            "model_id": context.state.encoder.binding.model_id,
            "revision": context.scope.revision,
            "ranking_profile": answer.profile,
        },
        missing_ids=context.missing,
        missing_attributes=missing_attributes(answer),
        short_page_reason=_short_page_reason(answer),
    )
    listed(answer, explain, response.results.add)
    return response


def missing_attributes(answer: Answer) -> list[pb.MissingAttribute]:
    """Return the attributes that the request names and that no item has."""
    capped = [Condition(cap.field, Exists(True)) for cap in answer.policy.caps]
    conditions = (*answer.context.request.conditions, *capped)
    if not conditions:
        return []
    return [
        pb.MissingAttribute(field=each.path, nearest=each.nearest)
        for each in answer.context.scope.missing(conditions)
    ]


def timings(answer: Answer, embedding_seconds: float, total_seconds: float) -> pb.RecommendTimings:
    """Return what an answer took."""
    return pb.RecommendTimings(
        embedding=_duration(embedding_seconds),
        search=_duration(answer.search_seconds),
        ranking=_duration(answer.ranking_seconds),
        total=_duration(total_seconds),
    )


def _duration(seconds: float) -> dict[str, int]:
    whole, nanoseconds = divmod(round(seconds * 1e9), 10**9)
    return {"seconds": whole, "nanos": nanoseconds}


def _list_metrics(answer: Answer) -> Fields:
    listing, candidates = answer.listing, answer.candidates
    if listing is None:
        return {}
    percentiles = answer.context.popularity.percentile(candidates.mass[listing.chosen])
    return {
        "tail_fraction": listing.tail_fraction,
        "mean_popularity_percentile": float(percentiles.sum() / len(percentiles)),
        "relevance_loss": listing.loss,
        "intra_list_diversity": answer.intra_list_diversity,
        "taste_divergence": listing.taste_divergence,
    }


def _effective_policy(answer: Answer) -> Fields:
    policy, listing = answer.policy, answer.listing
    gave_way = frozenset[GaveWay]() if listing is None else listing.gave_way
    saturation = None if listing is None else listing.saturation
    return {
        "strength": policy.strength,
        "min_tail_fraction": policy.limits.min_tail_fraction,
        "relevance_budget": policy.limits.relevance_budget,
        "min_tail_fraction_met": not gave_way & TAIL_GAVE_WAY,
        "page_size": answer.context.request.page_size,
        "tail_price": answer.prices.tail,
        "gave_way": [
            f"GAVE_WAY_{each.name}" for each in sorted(gave_way, key=lambda each: each.value)
        ],
        "exploration_slots": 0 if listing is None else int(listing.explored.sum()),
        "coverage_price": answer.prices.coverage,
        "taste_price": answer.prices.taste,
        "saturation": None if saturation is None else f"SATURATION_{saturation.name}",
    }


def _short_page_reason(answer: Answer) -> pb.ShortPageReason:
    request, listing = answer.context.request, answer.listing
    if len(answer.chosen) >= request.page_size:
        return pb.SHORT_PAGE_REASON_UNSPECIFIED
    if listing is not None and listing.capped.any():
        return pb.SHORT_PAGE_REASON_CAPS
    if request.frozen is not None:
        return pb.SHORT_PAGE_REASON_LAST_PAGE
    if answer.copies:
        return pb.SHORT_PAGE_REASON_COPIES
    if request.filter is not None:
        return pb.SHORT_PAGE_REASON_FILTER
    return pb.SHORT_PAGE_REASON_CATALOGUE_EXHAUSTED
