"""ReviewService: what awaits review, and what was decided."""

import itertools
import struct
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import TypeVar

from google.protobuf.message import Message
from google.rpc import status_pb2
from grpc.aio import ServicerContext
from longtail.runtime.errors import NotFound
from longtail.runtime.identity import current_caller
from longtail.runtime.message_size import serialized
from longtail.server.process.pools import Pools
from longtail.server.rpc.read.decision import decision_kind, new_decision
from longtail.server.rpc.read.fields import check_id, check_page_size
from longtail.server.rpc.repeatable_call import repeatable_call
from longtail.server.rpc.tokens.page import decode_token, encode_token, foreign_token
from longtail.server.rpc.write.decision import decision_message
from longtail.server.rpc.write.item import PAGE_BYTES, item_message
from longtail.server.store.record_store import RecordStore
from longtail.server.write.writer import Catalogue
from longtail.v1 import review_service_pb2 as pb
from longtail.v1 import review_service_pb2_grpc

DEFAULT_PAGE, MAX_PAGE = 100, 1000
QUEUE_ARGUMENTS = ("ListReviewQueue",)
# How a page token holds a revision.
PLACE = struct.Struct(">q")
# Of a page token.
MAX_TOKEN = 100

M = TypeVar("M", bound=Message)


class ReviewService(review_service_pb2_grpc.ReviewServiceServicer):
    """Reads decisions from the store and makes them through the catalogue."""

    def __init__(self, store: RecordStore, catalogue: Catalogue, pools: Pools) -> None:
        self._store = store
        self._catalogue = catalogue
        self._pools = pools

    async def ListReviewQueue(
        self,
        request: pb.ListReviewQueueRequest,
        context: ServicerContext[pb.ListReviewQueueRequest, pb.ListReviewQueueResponse],
    ) -> bytes:
        """Return a page of what awaits review."""
        size = check_page_size(request.page_size, default=DEFAULT_PAGE, limit=MAX_PAGE)
        after = _place(QUEUE_ARGUMENTS, request.page_token) if request.page_token else 0
        return await self._pools.administration(partial(self._queue_page, after, size))

    async def DecideItems(
        self,
        request: pb.DecideItemsRequest,
        context: ServicerContext[pb.DecideItemsRequest, pb.DecideItemsResponse],
    ) -> pb.DecideItemsResponse:
        """Decide about items."""
        decision = new_decision(request, current_caller())

        def reply(known: frozenset[str], revision: int) -> pb.DecideItemsResponse:
            statuses = [
                status_pb2.Status() if item_id in known else NotFound("item", item_id).status()
                for item_id in request.item_ids
            ]
            return pb.DecideItemsResponse(statuses=statuses, revision=revision)

        call = repeatable_call(request, pb.DecideItemsResponse)
        return await self._catalogue.decide_items(decision, request.item_ids, reply, call)

    async def ListDecisions(
        self,
        request: pb.ListDecisionsRequest,
        context: ServicerContext[pb.ListDecisionsRequest, pb.ListDecisionsResponse],
    ) -> bytes:
        """Return a page of decisions."""
        if request.item_id:
            check_id("item_id", request.item_id)
        decision_kind("kind", request.kind)
        size = check_page_size(request.page_size, default=DEFAULT_PAGE, limit=MAX_PAGE)
        return await self._pools.administration(partial(self._decisions_page, request, size))

    def _queue_page(self, after: int, size: int) -> bytes:
        # One more than the page tells whether there is another.
        found = self._store.decisions.queue(after=after, limit=size + 1)
        stored = self._store.items.get([item_id for _, item_id in found[:size]])
        submissions = self._store.decisions.get([place for place, _ in found[:size]])
        messages = []
        for place, item_id in found[:size]:
            # It may have been removed since it was found.
            if item_id in stored:
                queued = pb.QueuedItem(item=item_message(stored[item_id]))
                if place in submissions:
                    queued.decision.CopyFrom(decision_message(submissions[place]))
                messages.append((place, queued))
        page = list(_fitting(messages))
        is_cut = len(page) < len(messages)
        token = ""
        if is_cut or len(found) > size:
            last = page[-1][0] if is_cut else found[size - 1][0]
            token = encode_token(QUEUE_ARGUMENTS, PLACE.pack(last))
        pieces = (pb.ListReviewQueueResponse(items=[queued]) for _, queued in page)
        return serialized(
            itertools.chain(pieces, [pb.ListReviewQueueResponse(next_page_token=token)])
        )

    def _decisions_page(self, request: pb.ListDecisionsRequest, size: int) -> bytes:
        arguments = ("ListDecisions", request.item_id, str(request.kind), str(request.in_force))
        found = self._store.decisions.list_page(
            item_id=request.item_id,
            kind=decision_kind("kind", request.kind),
            in_force=request.in_force,
            before=_place(arguments, request.page_token) if request.page_token else None,
            limit=size + 1,
        )
        page = list(_fitting((each.revision, decision_message(each)) for each in found[:size]))
        token = ""
        if len(page) < len(found):
            token = encode_token(arguments, PLACE.pack(page[-1][0]))
        pieces = (pb.ListDecisionsResponse(decisions=[each]) for _, each in page)
        return serialized(
            itertools.chain(pieces, [pb.ListDecisionsResponse(next_page_token=token)])
        )


def _fitting(messages: Iterable[tuple[int, M]]) -> Iterator[tuple[int, M]]:
    """Yield the first of `messages`, with their places, that fit into a page."""
    size = 0
    for place, message in messages:
        size += message.ByteSize()
        if size > PAGE_BYTES and size > message.ByteSize():
            return
        yield place, message


def _place(arguments: Sequence[str], token: str) -> int:
    if len(token) > MAX_TOKEN:
        raise foreign_token()
    try:
        [place] = PLACE.unpack(decode_token(arguments, token))
    except struct.error:
        raise foreign_token() from None
    return int(place)
