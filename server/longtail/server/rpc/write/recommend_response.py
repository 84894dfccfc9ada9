"""From answers to messages."""

from google.protobuf import duration_pb2
from longtail.server.catalogue.columns.filter import Condition, Exists
from longtail.server.ranking.listing import GaveWay, Listing
from longtail.server.recommend.answer import Answer
from longtail.server.rpc.write.recommendation import listed
from longtail.v1 import recommendation_service_pb2 as pb

TAIL_GAVE_WAY = frozenset({GaveWay.TAIL_TO_BUDGET, GaveWay.TAIL_TO_CANDIDATES})


def recommend_response(answer: Answer, explain: pb.Explain) -> pb.RecommendResponse:
    """Return an answer as a message, as much of it explained as was asked for.

    It has no tokens, no items, and of the timings those of the answer.
    """
    context = answer.context
    results = listed(answer, explain)
    return pb.RecommendResponse(
        results=results,
        list_metrics=_list_metrics(answer),
        policy=_effective_policy(answer),
        provenance=pb.Provenance(
            model_id=context.state.encoder.binding.model_id,
            revision=context.scope.revision,
            ranking_profile=answer.profile,
        ),
        missing_ids=context.missing,
        missing_attributes=missing_attributes(answer),
        short_page_reason=_short_page_reason(answer, len(results)),
        timings=pb.RecommendTimings(
            search=duration(answer.search_seconds), ranking=duration(answer.ranking_seconds)
        ),
    )


def missing_attributes(answer: Answer) -> list[pb.MissingAttribute]:
    """Return the attributes that the request names and that no item has."""
    capped = [Condition(cap.field, Exists(True)) for cap in answer.policy.caps]
    conditions = (*answer.context.request.conditions, *capped)
    return [
        pb.MissingAttribute(field=each.path, nearest=each.nearest)
        for each in answer.context.scope.missing(conditions)
    ]


def duration(seconds: float) -> duration_pb2.Duration:
    """Return a span of time."""
    whole, nanoseconds = divmod(round(seconds * 1e9), 10**9)
    return duration_pb2.Duration(seconds=whole, nanos=nanoseconds)


def _list_metrics(answer: Answer) -> pb.ListMetrics:
    listing, candidates = answer.listing, answer.candidates
    if listing is None:
        return pb.ListMetrics()
    percentiles = answer.context.popularity.percentile(candidates.mass[listing.chosen])
    return pb.ListMetrics(
        tail_fraction=listing.tail_fraction,
        mean_popularity_percentile=float(percentiles.mean()),
        relevance_loss=listing.loss,
        intra_list_diversity=answer.intra_list_diversity,
        taste_divergence=listing.taste_divergence,
    )


def _effective_policy(answer: Answer) -> pb.EffectivePolicy:
    policy, listing = answer.policy, answer.listing
    gave_way = frozenset[GaveWay]() if listing is None else listing.gave_way
    return pb.EffectivePolicy(
        strength=policy.strength,
        min_tail_fraction=policy.limits.min_tail_fraction,
        relevance_budget=policy.limits.relevance_budget,
        min_tail_fraction_met=not gave_way & TAIL_GAVE_WAY,
        page_size=answer.context.request.page_size,
        tail_price=answer.prices.tail,
        gave_way=[
            f"GAVE_WAY_{each.name}" for each in sorted(gave_way, key=lambda each: each.value)
        ],
        exploration_slots=0 if listing is None else int(listing.explored.sum()),
        coverage_price=answer.prices.coverage,
        taste_price=answer.prices.taste,
        saturation=_saturation(listing),
    )


def _saturation(listing: Listing | None) -> str | None:
    if listing is None or listing.saturation is None:
        return None
    return f"SATURATION_{listing.saturation.name}"


def _short_page_reason(answer: Answer, shown: int) -> pb.ShortPageReason:
    request, listing = answer.context.request, answer.listing
    if shown >= request.page_size:
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
