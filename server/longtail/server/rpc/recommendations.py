"""RecommendationService: lists and their explanations over gRPC."""

import asyncio
import time

from google.rpc import status_pb2
from grpc.aio import ServicerContext
from longtail.runtime.errors import InvalidArgument, ServiceError, Violation
from longtail.server.recommend.answer import Answer
from longtail.server.recommend.recommender import Recommender
from longtail.server.recommend.request import FrozenCandidates
from longtail.server.rpc.answer_room import AnswerRoom
from longtail.server.rpc.read.fields import check_batch, check_id
from longtail.server.rpc.read.preparation import Preparation, Prepared, seen_from
from longtail.server.rpc.tokens.frozen_page import encode_page
from longtail.server.rpc.tokens.recommendation import RecommendedList, TokenCodec
from longtail.server.rpc.write.comparison import compared_lists, compared_policies
from longtail.server.rpc.write.explanation import explain
from longtail.server.rpc.write.recommend_response import duration, recommend_response
from longtail.server.store.clock import now
from longtail.server.store.items import ItemRecords
from longtail.server.write.encoding import Embed
from longtail.v1 import recommendation_service_pb2 as pb
from longtail.v1 import recommendation_service_pb2_grpc

MAX_REQUESTS = 100
# Requests of one batch that are answered at a time: enough to share batches in the worker, few
# enough that callers with one request find room beside it.
AT_ONCE = 8


class RecommendationService(recommendation_service_pb2_grpc.RecommendationServiceServicer):
    """Recommends, compares and explains."""

    def __init__(
        self,
        records: ItemRecords,
        recommender: Recommender,
        embed: Embed,
        tokens: TokenCodec,
        default_strength: float,
    ) -> None:
        self._records = records
        self._recommender = recommender
        self._tokens = tokens
        self._default_strength = default_strength
        self._preparation = Preparation(recommender, embed, default_strength)

    async def Recommend(
        self,
        request: pb.RecommendRequest,
        context: ServicerContext[pb.RecommendRequest, pb.RecommendResponse],
    ) -> pb.RecommendResponse:
        """Return a list."""
        return await self._recommend(request)

    async def BatchRecommend(
        self,
        request: pb.BatchRecommendRequest,
        context: ServicerContext[pb.BatchRecommendRequest, pb.BatchRecommendResponse],
    ) -> pb.BatchRecommendResponse:
        """Return a list, or what is wrong, for each request."""
        check_batch("requests", request.requests, MAX_REQUESTS)
        turns, room = asyncio.Semaphore(AT_ONCE), AnswerRoom()

        async def result(position: int, each: pb.RecommendRequest) -> pb.BatchRecommendResult:
            try:
                async with turns:
                    with seen_from(f"requests[{position}]"):
                        response = await self._recommend(each)
                    room.take(response.ByteSize())
            except ServiceError as error:
                return pb.BatchRecommendResult(status=error.status())
            return pb.BatchRecommendResult(status=status_pb2.Status(), response=response)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(result(*each)) for each in enumerate(request.requests)]
        return pb.BatchRecommendResponse(results=[task.result() for task in tasks])

    async def CompareRecommendations(
        self,
        request: pb.CompareRecommendationsRequest,
        context: ServicerContext[
            pb.CompareRecommendationsRequest, pb.CompareRecommendationsResponse
        ],
    ) -> pb.CompareRecommendationsResponse:
        """Return the lists of several policies."""
        started = time.perf_counter()
        asked = request.request
        if asked.page_token:
            raise InvalidArgument(
                Violation("request.page_token", "is not empty; first pages are compared")
            )
        with seen_from("request"):
            prepared = await self._preparation.prepare(asked)
        policies = compared_policies(request, prepared.wish.page_size, self._default_strength)

        def responses() -> list[pb.RecommendResponse]:
            with seen_from("request"):
                answers = self._recommender.answers(
                    prepared.state, prepared.wish, list(policies.values())
                )
            replies = [recommend_response(answer, self._records, asked) for answer in answers]
            for reply in replies:
                _complete(reply, prepared, started)
            return replies

        lists = compared_lists(list(policies), await asyncio.to_thread(responses))
        return pb.CompareRecommendationsResponse(lists=lists)

    async def ExplainItem(
        self,
        request: pb.ExplainItemRequest,
        context: ServicerContext[pb.ExplainItemRequest, pb.ExplainItemResponse],
    ) -> pb.ExplainItemResponse:
        """Say why an item is in the list, or why not."""
        check_id("item_id", request.item_id)
        with seen_from("request"):
            prepared = await self._preparation.prepare(request.request)

        def response() -> pb.ExplainItemResponse:
            with seen_from("request"):
                answer = self._recommender.answer(prepared.state, prepared.wish)
            return explain(
                answer,
                self._recommender,
                self._records,
                request.item_id,
                include_item=request.request.include_items,
            )

        return await asyncio.to_thread(response)

    async def _recommend(self, request: pb.RecommendRequest) -> pb.RecommendResponse:
        started = time.perf_counter()
        prepared = await self._preparation.prepare(request)

        def response() -> pb.RecommendResponse:
            answer = self._recommender.answer(prepared.state, prepared.wish)
            reply = recommend_response(answer, self._records, request)
            reply.recommendation_token = self._recommendation_token(answer)
            reply.next_page_token = encode_page(
                request,
                FrozenCandidates(
                    item_ids=answer.remaining,
                    scale=answer.pool.scale,
                    shown=answer.offset + len(reply.results),
                ),
            )
            _complete(reply, prepared, started)
            return reply

        return await asyncio.to_thread(response)

    def _recommendation_token(self, answer: Answer) -> str:
        listing = answer.listing
        if listing is None:
            return ""
        return self._tokens.encode(
            RecommendedList.new(
                user_id=answer.wish.user_id,
                time=now(),
                revision=answer.scope.revision,
                strength=answer.wish.policy.strength,
                relevance_loss=listing.loss,
                tail_fraction=listing.tail_fraction,
                item_ids=[answer.pool.ids[at] for at in listing.chosen],
                propensities=listing.propensities.tolist(),
            )
        )


def _complete(reply: pb.RecommendResponse, prepared: Prepared, started: float) -> None:
    if prepared.degraded:
        reply.degraded.append(pb.DEGRADATION_ENCODER_UNAVAILABLE)
    reply.timings.embedding.CopyFrom(duration(prepared.embedding_seconds))
    reply.timings.total.CopyFrom(duration(time.perf_counter() - started))
