"""Why an item is in a list, or why it is not."""

import numpy as np
from longtail.v1 import recommendation_service_pb2 as pb

from runtime.errors import NotFound
from server.recommender import Answer, Recommender
from server.services.replies import breakdown_of, candidate, described, listed
from server.store.records import State


def explain(
    recommender: Recommender, request: pb.ExplainItemRequest, answer: Answer
) -> pb.ExplainItemResponse:
    """Explain the place of `request.item_id` in `answer`; raise NotFound when it has gone."""
    item_id, pool, selection = request.item_id, answer.pool, answer.selection
    position = pool.ids.index(item_id) if item_id in pool.ids else None
    if selection is None or position is None:
        return _absent(recommender, request, answer)
    places = selection.chosen.tolist()
    if position in places:
        result = listed(pool, selection, places.index(position))
        tail = pb.REASON_LONG_TAIL in result.reasons
        why = "the long tail's place in the list" if tail else "its relevance"
        return pb.ExplainItemResponse(
            verdict=pb.VERDICT_LISTED,
            recommendation=result,
            summary=f"It stands at place {result.rank} because of {why}; "
            f"by relevance alone it would stand at {result.breakdown.baseline_rank}.",
        )
    result = candidate(pool, selection, position)
    gap = float(pool.relevance[places[-1]]) - result.breakdown.relevance
    if gap > 0:
        why = f"its relevance is {gap:.4f} below that of the last item listed"
    else:
        why = "the long tail took the places after it"
    return pb.ExplainItemResponse(
        verdict=pb.VERDICT_OUTRANKED,
        recommendation=result,
        relevance_gap=gap,
        summary=f"By relevance it stands at {result.breakdown.baseline_rank} of "
        f"{len(pool.ids)} candidates, and the list has {len(places)} places: {why}.",
    )


def _absent(
    recommender: Recommender, request: pb.ExplainItemRequest, answer: Answer
) -> pb.ExplainItemResponse:
    item_id, pool = request.item_id, answer.pool
    placed = recommender.place(answer, item_id)
    if placed is None:
        raise NotFound("item", item_id)
    breakdown = breakdown_of([float(part) for part in placed.parts], placed.relevance)
    verdict, summary = _left_out(request, answer)
    gap = 0.0
    if verdict == pb.VERDICT_NOT_RETRIEVED and answer.selection is not None:
        gap = float(pool.relevance[answer.selection.chosen[-1]]) - placed.relevance
    return pb.ExplainItemResponse(
        verdict=verdict,
        recommendation=described(pool, item_id, placed.mass, breakdown),
        relevance_gap=gap,
        summary=summary,
    )


def _left_out(request: pb.ExplainItemRequest, answer: Answer) -> tuple[pb.Verdict, str]:
    item_id, wish = request.item_id, request.request
    if item_id in wish.exclude.item_ids:
        return pb.VERDICT_EXCLUDED, "The request excludes it."
    if any(example.item_id == item_id for example in wish.examples):
        return pb.VERDICT_EXAMPLE, "It is one of the request's examples."
    if item_id in answer.seen:
        return pb.VERDICT_SEEN, "The person has seen it."
    return _unoffered(answer, item_id) or (
        pb.VERDICT_NOT_RETRIEVED,
        f"It is not among the {len(answer.pool.ids)} candidates of this request.",
    )


def _unoffered(answer: Answer, item_id: str) -> tuple[pb.Verdict, str] | None:
    """Return why an item is not offered to this request at all; None when it is."""
    columns, sight = answer.state.columns, answer.sight
    [row] = columns.rows_at([item_id], sight.revision)
    match columns.state_of(row):
        case State.HIDDEN:
            return pb.VERDICT_HIDDEN, "It is hidden."
        case State.IN_REVIEW:
            return pb.VERDICT_IN_REVIEW, "It is in review."
    if not columns.is_available(row, sight.now):
        return pb.VERDICT_UNAVAILABLE, "It is not available now."
    if not sight.passes(np.array([row]))[0]:
        return pb.VERDICT_FILTERED, "It does not pass the filter."
    return None
