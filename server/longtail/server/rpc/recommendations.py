"""RecommendationService: lists and their explanations over gRPC.

A short answer takes a few milliseconds and is made on the event loop: threads that compete for the
interpreter cost as much as the work. What may take longer goes to one thread, one at a time.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from google.rpc import status_pb2
from grpc.aio import ServicerContext
from longtail.runtime.admission import keep_turn, pause_turn, turn_again
from longtail.runtime.deadline import remaining_seconds
from longtail.runtime.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    Overloaded,
    ServiceError,
    Unavailable,
    Violation,
)
from longtail.runtime.tracing import Trace, current_trace
from longtail.server.catalogue.made import MadeBudget
from longtail.server.catalogue.people import People, Person
from longtail.server.catalogue.replica import CatalogueReplica
from longtail.server.catalogue.state import CatalogueState
from longtail.server.encoder.query_vectors import QueryVectors
from longtail.server.process.pools import Pools
from longtail.server.process.pseudonyms import Pseudonyms
from longtail.server.process.reach import Reach
from longtail.server.recommend.answer import Answer
from longtail.server.recommend.recommender import Recommender
from longtail.server.recommend.request import FrozenCandidates, Request
from longtail.server.rpc.answer_room import AnswerRoom
from longtail.server.rpc.read.comparison import compared_policies
from longtail.server.rpc.read.extent import is_long
from longtail.server.rpc.read.fields import check_batch, check_id
from longtail.server.rpc.read.recommend_request import ReadRequest, read_request, seen_from
from longtail.server.rpc.tokens.frozen_page import encode_page
from longtail.server.rpc.tokens.recommendation import RecommendedList, TokenCodec
from longtail.server.rpc.write.comparison import compared_lists
from longtail.server.rpc.write.explanation import explain_listed, explain_unlisted
from longtail.server.rpc.write.item import item_message
from longtail.server.rpc.write.recommend_response import (
    missing_attributes,
    recommend_response,
    timings,
)
from longtail.server.store.clock import now
from longtail.server.store.decisions import DecisionRecords
from longtail.server.store.items import ItemRecords
from longtail.server.store.records import Decision, PersonRecord
from longtail.v1 import recommendation_service_pb2 as pb
from longtail.v1 import recommendation_service_pb2_grpc
from prometheus_client import Counter

MAX_REQUESTS = 100
# Requests of one batch that are answered at a time: enough to share batches in the worker, few
# enough that callers with one request find room beside it.
AT_ONCE = 8
# Longer lists take several milliseconds: the ways to share their places are many.
SHORT_PAGE = 30
# So does comparing with more rows: those that no graph holds yet.
FEW_ROWS = 10_000
# And rules that compare each candidate more often.
FEW_COMPARISONS = 40
# And looking up the words of a long query.
FEW_WORDS = 20
# And counting what the people who liked the same things liked beside them.
FEW_COUNTED = 5
DEGRADED = Counter(
    "longtail_degraded_total", "Requests answered without something that belongs to it.", ["why"]
)
NOBODY = Person(PersonRecord(0, (), ()), MadeBudget())
# Of the time for a call: what an encoder that does not answer may take of it, where there is
# something to answer without it.
ENCODER_SHARE = 0.5
ENCODER_OUT = (Unavailable, Overloaded, DeadlineExceeded)


@dataclass(frozen=True)
class _Prepared:
    """A request, ready to be answered from `state`; `degraded`: what it has to do without.

    `trace` is that of the call; who answers may be a thread that knows of none.
    """

    state: CatalogueState
    request: Request
    person: Person
    degraded: Sequence[pb.Degradation]
    embedding_seconds: float
    trace: Trace | None


class RecommendationService(recommendation_service_pb2_grpc.RecommendationServiceServicer):
    """Recommends, compares and explains.

    `complete` says whether all that people did is known, `revision` is that up to which items and
    persons are known, and `follow` takes in, in a thread, what other processes wrote.
    """

    def __init__(
        self,
        recommender: Recommender,
        replica: CatalogueReplica,
        people: People,
        complete: Callable[[], bool],
        revision: Callable[[], int],
        follow: Callable[[], Awaitable[None]],
        records: ItemRecords,
        decisions: DecisionRecords,
        reach: Reach,
        vectors: QueryVectors,
        tokens: TokenCodec,
        pools: Pools,
        default_strength: float,
        pseudonyms: Pseudonyms,
    ) -> None:
        self._pseudonyms = pseudonyms
        self._recommender = recommender
        self._replica = replica
        self._people = people
        self._complete = complete
        self._revision = revision
        self._follow = follow
        self._records = records
        self._decisions = decisions
        self._reach = reach
        self._vectors = vectors
        self._tokens = tokens
        self._pools = pools
        self._default_strength = default_strength

    async def Recommend(
        self,
        request: pb.RecommendRequest,
        context: ServicerContext[pb.RecommendRequest, pb.RecommendResponse],
    ) -> pb.RecommendResponse:
        """Return a list."""
        started = time.perf_counter()
        prepared = await self._prepare(request)
        if request.include_items or not self._is_short(prepared):
            return await self._pools.answers(lambda: self._response(request, prepared, started))
        # In parts, so that whoever is refused meanwhile hears of it within a few milliseconds.
        searched = self._recommender.searched(prepared.state, prepared.request, prepared.person)
        await pause_turn()
        [answer] = self._recommender.ranked(searched, [prepared.request.policy])
        return self._reply(request, answer, prepared, started)

    async def BatchRecommend(
        self,
        request: pb.BatchRecommendRequest,
        context: ServicerContext[pb.BatchRecommendRequest, pb.BatchRecommendResponse],
    ) -> bytes:
        """Return a list, or what is wrong, for each request."""
        check_batch("requests", request.requests, MAX_REQUESTS)
        turns, room = asyncio.Semaphore(AT_ONCE), AnswerRoom()
        # An encoder that hangs costs the answers that need it, not those of the others.
        encoder_until = _encoder_until()

        def listed(each: pb.RecommendRequest, prepared: _Prepared, started: float) -> bytes:
            response = self._response(each, prepared, started)
            return _result(pb.BatchRecommendResult(status=status_pb2.Status(), response=response))

        async def result(position: int, each: pb.RecommendRequest) -> bytes:
            started = time.perf_counter()
            try:
                async with turns:
                    # Each of a batch takes a turn as a call does, or batches would take them all.
                    await turn_again()
                    with seen_from(f"requests[{position}]"):
                        prepared = await self._prepare(each, encoder_until)
                        content = await self._pools.answers(
                            partial(listed, each, prepared, started)
                        )
                    room.take(len(content))
            except ServiceError as error:
                return _result(pb.BatchRecommendResult(status=error.status()))
            return content

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(result(*each)) for each in enumerate(request.requests)]
        return b"".join(task.result() for task in tasks)

    async def CompareRecommendations(
        self,
        request: pb.CompareRecommendationsRequest,
        context: ServicerContext[
            pb.CompareRecommendationsRequest, pb.CompareRecommendationsResponse
        ],
    ) -> bytes:
        """Return the lists of several policies."""
        started = time.perf_counter()
        asked = request.request
        if asked.page_token:
            raise InvalidArgument(
                Violation("request.page_token", "is not empty; first pages are compared")
            )
        with seen_from("request"):
            state, read = await self._read(asked)
        page_size = read.wordless.page_size
        policies = compared_policies(request, page_size, self._default_strength)
        prepared = await self._encoded(state, read)

        def response() -> bytes:
            with seen_from("request"):
                answers = self._recommender.compare(
                    prepared.state, prepared.request, prepared.person, list(policies.values())
                )
            lists = [self._message(asked, answer, prepared, started) for answer in answers]
            return pb.CompareRecommendationsResponse(
                lists=compared_lists(list(policies), lists)
            ).SerializeToString()

        return await self._pools.answers(response)

    async def ExplainItem(
        self,
        request: pb.ExplainItemRequest,
        context: ServicerContext[pb.ExplainItemRequest, pb.ExplainItemResponse],
    ) -> pb.ExplainItemResponse:
        """Say why an item is in the list, or why not."""
        check_id("item_id", request.item_id)
        with seen_from("request"):
            prepared = await self._prepare(request.request)
        return await self._pools.answers(lambda: self._explanation(request, prepared))

    async def _prepare(
        self, message: pb.RecommendRequest, encoder_until: float | None = None
    ) -> _Prepared:
        """Read a request, find its person, and encode its texts; raises what both steps do."""
        return await self._encoded(*await self._read(message), encoder_until)

    async def _read(self, message: pb.RecommendRequest) -> tuple[CatalogueState, ReadRequest]:
        """Return a request as it is read, and the state to answer it from.

        Raises InvalidArgument naming what is wrong with it, and FailedPrecondition when the
        catalogue is not at its min_revision.
        """
        long = is_long(message)
        state = await self._state(message.min_revision)
        read = partial(
            read_request,
            message,
            dimension=state.encoder.binding.dimension,
            spaces=state.declared_spaces,
            default_strength=self._default_strength,
            pseudonyms=self._pseudonyms,
        )
        return state, await self._pools.answers(read) if long else read()

    async def _encoded(
        self, state: CatalogueState, asked: ReadRequest, encoder_until: float | None = None
    ) -> _Prepared:
        """Return a request with the vectors of its texts, and its person.

        The encoder has until `encoder_until`, of the monotonic clock; without one, all the time
        there is or, when the request allows for an answer without it, a share. Raises what the
        encoder raises, but for what the request allows.
        """
        request, seconds, trace = asked.wordless, 0.0, current_trace()
        # Asked before it is used: what is complete by then may be said to be missing, not the
        # other way round.
        degraded = [] if self._complete() else [pb.DEGRADATION_BEHAVIOUR_INCOMPLETE]
        if texts := asked.texts:
            started = time.perf_counter()
            if encoder_until is None and asked.allow_degraded:
                encoder_until = _encoder_until()
            left = None if encoder_until is None else max(0.0, encoder_until - time.monotonic())
            try:
                vectors = await self._vectors.of(texts, state.encoder.binding, left)
                request = asked.request(vectors)
            except ENCODER_OUT:
                if not asked.allow_degraded:
                    raise
                degraded.append(pb.DEGRADATION_ENCODER_UNAVAILABLE)
            ended = time.perf_counter()
            seconds = ended - started
            if trace is not None:
                trace.note("encode", started, ended)
        for each in degraded:
            _count(each)
        person = self._people.known(request.user_id) if request.user_id else NOBODY
        if person is None:
            person = await self._load(request.user_id)
        return _Prepared(state, request, person, degraded, seconds, trace)

    async def _load(self, user_id: str) -> Person:
        """Return a person who is not held; nobody where the store cannot be reached."""
        read = partial(self._people.load, user_id)
        if self._reach.is_bounded:
            return await keep_turn(self._reach.wait(read)) or NOBODY
        # Not behind long answers: it takes a fraction of a millisecond.
        return await keep_turn(self._pools.elements(1, read))

    async def _state(self, min_revision: int) -> CatalogueState:
        """Return the state to answer from, at `min_revision` or later.

        Raises FailedPrecondition when the catalogue is not there yet.
        """
        if self._revision() < min_revision:
            # Another process may have written it.
            await self._follow()
        if (known := self._revision()) < min_revision:
            raise FailedPrecondition(
                f"min_revision {min_revision} is ahead of the catalogue, which is at {known}"
            )
        return self._replica.state

    def _is_short(self, prepared: _Prepared) -> bool:
        """Return whether a request is answered within a few milliseconds, and without the store.

        A filter looks at every item of the catalogue, not at candidates alone.
        """
        request = prepared.request
        return (
            request.page_size <= SHORT_PAGE
            and prepared.state.index.delta_rows <= FEW_ROWS
            and request.rotation is None
            and request.filter is None
            and request.rule_cost <= FEW_COMPARISONS
            and len(request.words) <= FEW_WORDS
            and self._recommender.uncounted(request, prepared.person) <= FEW_COUNTED
        )

    def _response(
        self, message: pb.RecommendRequest, prepared: _Prepared, started: float
    ) -> pb.RecommendResponse:
        answer = self._recommender.recommend(prepared.state, prepared.request, prepared.person)
        return self._reply(message, answer, prepared, started)

    def _reply(
        self, message: pb.RecommendRequest, answer: Answer, prepared: _Prepared, started: float
    ) -> pb.RecommendResponse:
        response = self._message(message, answer, prepared, started)
        response.recommendation_token = self._recommendation_token(answer)
        remaining = answer.remaining
        if remaining:
            shown = answer.offset + len(answer.chosen)
            frozen = FrozenCandidates(remaining, answer.candidates.scale, shown)
            response.next_page_token = encode_page(message, frozen)
        if prepared.trace is not None:
            _note(prepared.trace, answer)
        return response

    def _message(
        self, message: pb.RecommendRequest, answer: Answer, prepared: _Prepared, started: float
    ) -> pb.RecommendResponse:
        response = recommend_response(answer, message.explain)
        if message.include_items:
            self._add_items(response.results)
        response.degraded.extend(self._lacking(prepared))
        taken = timings(answer, prepared.embedding_seconds, time.perf_counter() - started)
        response.timings.CopyFrom(taken)
        return response

    def _explanation(
        self, message: pb.ExplainItemRequest, prepared: _Prepared
    ) -> pb.ExplainItemResponse:
        item_id = message.item_id
        with seen_from("request"):
            answer = self._recommender.recommend(prepared.state, prepared.request, prepared.person)
        decision = self._decision(answer, item_id)
        response = explain_listed(answer, item_id, decision)
        if response is None:
            alone = None
            if item_id not in answer.candidates.ids:
                alone = self._recommender.alone(answer, item_id)
                if alone is None:
                    raise NotFound("item", item_id)
            response = explain_unlisted(answer, item_id, alone, decision)
        response.missing_attributes.extend(missing_attributes(answer))
        if message.request.include_items:
            self._add_items([response.recommendation])
        response.degraded.extend(self._lacking(prepared))
        return response

    def _lacking(self, prepared: _Prepared) -> Sequence[pb.Degradation]:
        """Return what an answer, which is made, had to do without."""
        if not self._reach.is_away:
            return prepared.degraded
        _count(pb.DEGRADATION_STORE_UNAVAILABLE)
        return [*prepared.degraded, pb.DEGRADATION_STORE_UNAVAILABLE]

    def _decision(self, answer: Answer, item_id: str) -> Decision | None:
        """Return what was decided about an item and counts at the moment of an answer."""
        scope = answer.context.scope
        ruling = scope.columns.ruling_of(item_id, scope.now)
        if ruling is None:
            return None
        read = partial(self._decisions.get, [ruling.revision])
        return (self._reach.read(read) or {}).get(ruling.revision)

    def _add_items(self, results: Sequence[pb.Recommendation]) -> None:
        read = partial(self._records.get, [result.item_id for result in results])
        items = self._reach.read(read) or {}
        for result in results:
            # It may have been removed since the answer was made.
            if result.item_id in items:
                result.item.CopyFrom(item_message(items[result.item_id]))

    def _recommendation_token(self, answer: Answer) -> str:
        listing, context = answer.listing, answer.context
        if listing is None:
            return ""
        ids = answer.candidates.ids
        return self._tokens.encode(
            RecommendedList.new(
                user_id=context.request.user_id,
                time=now(),
                revision=context.scope.revision,
                strength=answer.policy.strength,
                relevance_loss=listing.loss,
                tail_fraction=listing.tail_fraction,
                item_ids=[ids[at] for at in listing.chosen.tolist()],
                propensities=listing.propensities.tolist(),
            )
        )


def _count(degradation: pb.Degradation) -> None:
    name = pb.Degradation.Name(degradation)
    DEGRADED.labels(name.removeprefix("DEGRADATION_").lower()).inc()


def _note(trace: Trace, answer: Answer) -> None:
    """Note the stages of an answer, whose message is made now."""
    moments = answer.moments
    trace.note("context", moments.begun, moments.understood)
    trace.note("candidates", moments.understood, moments.found)
    trace.note(
        "ranking",
        moments.ranking,
        moments.ranked,
        attributes={"longtail.candidates": len(answer.candidates.ids)},
    )
    trace.note("reply", moments.ranked, time.perf_counter())


def _result(result: pb.BatchRecommendResult) -> bytes:
    """Return an answer to a batch of one; answers that follow each other on the wire are one."""
    return pb.BatchRecommendResponse(results=[result]).SerializeToString()


def _encoder_until() -> float:
    return time.monotonic() + ENCODER_SHARE * remaining_seconds()
