"""RecommendationService: lists and their explanations over gRPC."""

import asyncio
import time
from dataclasses import dataclass

from grpc.aio import ServicerContext
from longtail.v1 import embedding_service_pb2, recommendation_service_pb2_grpc
from longtail.v1 import recommendation_service_pb2 as pb

from runtime.errors import InvalidArgument, NotFound, Unavailable, Violation
from server.encoder import Encoder
from server.recommender import Answer, Recommender
from server.services.explanation import explain
from server.services.replies import duration, list_metrics, recommendations
from server.store.items import ItemRecords
from server.validation import check_id
from server.wishes import WishDraft, wish_draft


@dataclass(frozen=True)
class _Answered:
    answer: Answer
    draft: WishDraft
    degraded: bool
    embedding_seconds: float


class RecommendationService(recommendation_service_pb2_grpc.RecommendationServiceServicer):
    """Recommends and explains."""

    def __init__(
        self,
        records: ItemRecords,
        recommender: Recommender,
        encoder: Encoder,
        default_strength: float,
    ) -> None:
        self._records = records
        self._recommender = recommender
        self._encoder = encoder
        self._default_strength = default_strength

    async def Recommend(
        self,
        request: pb.RecommendRequest,
        context: ServicerContext[pb.RecommendRequest, pb.RecommendResponse],
    ) -> pb.RecommendResponse:
        """Return a list."""
        started = time.perf_counter()
        answered = await self._answer(request, "")
        answer, policy = answered.answer, answered.draft.policy
        selection = answer.selection
        ids = [] if selection is None else [answer.pool.ids[at] for at in selection.chosen]
        items = await asyncio.to_thread(self._records.get, ids)
        short = len(ids) < answered.draft.page_size
        return pb.RecommendResponse(
            results=recommendations(answer, items, request),
            list_metrics=list_metrics(answer),
            policy=pb.EffectivePolicy(
                strength=policy.strength,
                min_tail_fraction=policy.min_tail_fraction,
                relevance_budget=policy.relevance_budget,
                min_tail_fraction_met=selection is None or selection.min_tail_fraction_met,
                page_size=answered.draft.page_size,
            ),
            provenance=pb.Provenance(
                model_id=answer.state.encoder.binding.model_id, revision=answer.sight.revision
            ),
            degraded=[pb.DEGRADATION_ENCODER_UNAVAILABLE] if answered.degraded else [],
            missing_ids=answer.missing,
            short_page_reason=_short_page_reason(answered) if short else None,
            timings=pb.RecommendTimings(
                embedding=duration(answered.embedding_seconds),
                search=duration(answer.search_seconds),
                ranking=duration(answer.ranking_seconds),
                total=duration(time.perf_counter() - started),
            ),
        )

    async def ExplainItem(
        self,
        request: pb.ExplainItemRequest,
        context: ServicerContext[pb.ExplainItemRequest, pb.ExplainItemResponse],
    ) -> pb.ExplainItemResponse:
        """Say why an item is in the list, or why not."""
        check_id("item_id", request.item_id)
        found = await asyncio.to_thread(self._records.get, [request.item_id])
        if not found:
            raise NotFound("item", request.item_id)
        answered = await self._answer(request.request, "request")
        reply = await asyncio.to_thread(explain, self._recommender, request, answered.answer)
        reply.recommendation.title = found[request.item_id].content.title
        return reply

    async def _answer(self, request: pb.RecommendRequest, parent: str) -> _Answered:
        try:
            state = await self._recommender.state(request.min_revision)
            binding = state.encoder.binding
            draft = wish_draft(
                request,
                dimension=binding.dimension,
                default_strength=self._default_strength,
            )
            started = time.perf_counter()
            vectors, degraded = None, False
            if draft.texts:
                try:
                    vectors = await self._encoder.embed(
                        draft.texts,
                        embedding_service_pb2.ROLE_QUERY,
                        embedding_service_pb2.LANE_INTERACTIVE,
                        binding,
                    )
                except Unavailable:
                    if not request.allow_degraded:
                        raise
                    degraded = True
            embedded = time.perf_counter() - started
            answer = await asyncio.to_thread(self._recommender.answer, state, draft.wish(vectors))
        except InvalidArgument as error:
            raise InvalidArgument(*(_seen_from(parent, v) for v in error.violations)) from None
        return _Answered(answer, draft, degraded, embedded)


def _short_page_reason(answered: _Answered) -> pb.ShortPageReason:
    if answered.answer.sight.filter is None:
        return pb.SHORT_PAGE_REASON_CATALOGUE_EXHAUSTED
    return pb.SHORT_PAGE_REASON_FILTER


def _seen_from(parent: str, violation: Violation) -> Violation:
    return violation.inside(parent) if parent else violation
