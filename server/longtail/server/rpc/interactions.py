"""InteractionService: what people did, over gRPC."""

import itertools
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from google.rpc import status_pb2
from grpc.aio import ServicerContext
from longtail.runtime.errors import InvalidArgument, Violation
from longtail.runtime.message_size import serialized
from longtail.server.process.pools import FEW, Pools
from longtail.server.process.pseudonyms import Pseudonyms
from longtail.server.rpc.import_stream import patiently
from longtail.server.rpc.read.fields import (
    check_batch,
    check_id,
    check_page_size,
    each,
    interaction,
)
from longtail.server.rpc.read.impressions import impressions
from longtail.server.rpc.refusals import KEPT, Refusals, statuses
from longtail.server.rpc.tokens.page import decode_token, encode_token, foreign_token
from longtail.server.rpc.tokens.recommendation import TokenCodec
from longtail.server.store.interactions import InteractionRecords
from longtail.server.store.records import Interaction
from longtail.server.write.writer import Catalogue
from longtail.v1 import interaction_service_pb2 as pb
from longtail.v1 import interaction_service_pb2_grpc

DEFAULT_PAGE, MAX_PAGE = 100, 1000
# How a page token holds a time, in microseconds since the epoch.
TIME = struct.Struct(">q")
# Between two ids in a page token: none holds a control character.
SEPARATOR = "\n"
# Of a page token: an id has up to 1,024 bytes.
MAX_TOKEN = 3000


@dataclass(frozen=True)
class _Batch:
    """The events of a batch that can be recorded, and what is wrong with the others.

    `unattributed`: those of the former whose recommendation_token is left out. `unknown`: positions
    of those whose item the catalogue does not have.
    """

    events: Sequence[Interaction]
    wrong: dict[int, InvalidArgument]
    statuses: Sequence[status_pb2.Status]
    unattributed: Sequence[pb.UnattributedInteraction]
    unknown: Sequence[int]


class InteractionService(interaction_service_pb2_grpc.InteractionServiceServicer):
    """Reads interactions from the store and writes them through the catalogue.

    What is older than `kept_days` is refused; 0 takes all. `has` says which items there are.
    """

    def __init__(
        self,
        records: InteractionRecords,
        catalogue: Catalogue,
        tokens: TokenCodec,
        pools: Pools,
        pseudonyms: Pseudonyms,
        kept_days: float,
        has: Callable[[Sequence[str]], Sequence[bool]],
    ) -> None:
        self._pseudonyms = pseudonyms
        self._kept_days = kept_days
        self._has = has
        self._records = records
        self._pools = pools
        self._catalogue = catalogue
        self._tokens = tokens

    async def WriteInteractions(
        self,
        request: pb.WriteInteractionsRequest,
        context: ServicerContext[pb.WriteInteractionsRequest, pb.WriteInteractionsResponse],
    ) -> pb.WriteInteractionsResponse:
        """Record a batch of interactions."""
        check_batch("interactions", request.interactions)
        batch = await self._read(request.interactions)
        recorded, revision = await self._catalogue.write_interactions(batch.events)
        return pb.WriteInteractionsResponse(
            statuses=batch.statuses,
            recorded_count=recorded,
            revision=revision,
            unattributed=batch.unattributed,
            unknown_item_positions=batch.unknown,
        )

    async def ImportInteractions(
        self,
        request_iterator: AsyncIterator[pb.ImportInteractionsRequest],
        context: ServicerContext[pb.ImportInteractionsRequest, pb.ImportInteractionsResponse],
    ) -> pb.ImportInteractionsResponse:
        """Record a stream of batches."""
        refusals = Refusals()
        unattributed: list[pb.UnattributedInteraction] = []
        imported = duplicates = unattributed_count = unknown_count = seen = revision = 0
        async for request in request_iterator:
            check_batch("interactions", request.interactions)
            batch = await self._read(request.interactions)
            write = partial(self._catalogue.write_interactions, batch.events)
            recorded, revision = await patiently(write)
            imported += recorded
            duplicates += len(batch.events) - recorded
            refusals.add(batch.wrong, [event.event_id for event in request.interactions])
            unattributed_count += len(batch.unattributed)
            unknown_count += len(batch.unknown)
            for event in batch.unattributed[: KEPT - len(unattributed)]:
                event.position += seen
                unattributed.append(event)
            seen += len(request.interactions)
        return pb.ImportInteractionsResponse(
            imported_count=imported,
            duplicate_count=duplicates,
            refused_count=refusals.count,
            refusals=refusals.first,
            revision=revision,
            unattributed_count=unattributed_count,
            unattributed=unattributed,
            unknown_item_count=unknown_count,
        )

    async def RecordImpressions(
        self,
        request: pb.RecordImpressionsRequest,
        context: ServicerContext[pb.RecordImpressionsRequest, pb.RecordImpressionsResponse],
    ) -> pb.RecordImpressionsResponse:
        """Record what of a list was shown."""
        recorded, revision = await self._catalogue.write_impressions(
            *impressions(request, self._tokens)
        )
        return pb.RecordImpressionsResponse(recorded_count=recorded, revision=revision)

    async def ListInteractions(
        self,
        request: pb.ListInteractionsRequest,
        context: ServicerContext[pb.ListInteractionsRequest, pb.ListInteractionsResponse],
    ) -> bytes:
        """Return a page of interactions."""
        if not (request.user_id or request.item_id):
            raise InvalidArgument(Violation("user_id", "is empty, and so is item_id"))
        for field, value in (("user_id", request.user_id), ("item_id", request.item_id)):
            if value:
                check_id(field, value)
        size = check_page_size(request.page_size, default=DEFAULT_PAGE, limit=MAX_PAGE)
        return await self._pools.administration(partial(self._page, request, size))

    async def DeleteUserData(
        self,
        request: pb.DeleteUserDataRequest,
        context: ServicerContext[pb.DeleteUserDataRequest, pb.DeleteUserDataResponse],
    ) -> pb.DeleteUserDataResponse:
        """Forget a person."""
        check_id("user_id", request.user_id)
        forgotten, erasure = await self._catalogue.delete_user(self._pseudonyms(request.user_id))
        return pb.DeleteUserDataResponse(
            deleted_interaction_count=forgotten.interactions,
            deleted_impression_count=forgotten.impressions,
            revision=forgotten.revision,
            erasure_operation_id=erasure.id,
        )

    async def _read(self, messages: Sequence[pb.Interaction]) -> _Batch:
        def read() -> _Batch:
            validate = partial(
                interaction,
                tokens=self._tokens,
                pseudonyms=self._pseudonyms,
                kept_days=self._kept_days,
            )
            events, wrong = each("interactions", messages, validate)
            right = [position for position in range(len(messages)) if position not in wrong]
            held = self._has([event.item_id for event in events])
            return _Batch(
                events,
                wrong,
                statuses(len(messages), wrong),
                _unattributed(messages, events, right),
                [at for at, known in zip(right, held, strict=True) if not known],
            )

        # A thousand of them take long enough to be felt by others on the event loop; for a few, the
        # way into a thread takes longer.
        return read() if len(messages) <= FEW else await self._pools.bulk(read)

    def _page(self, request: pb.ListInteractionsRequest, size: int) -> bytes:
        arguments = ("ListInteractions", request.user_id, request.item_id)
        after = None
        if request.page_token:
            after = _unpack(arguments, request.page_token)
        # One more than the page tells whether there is another.
        found = self._records.list_page(
            user_id=self._pseudonyms(request.user_id),
            item_id=request.item_id,
            after=after,
            limit=size + 1,
        )
        page, more = found[:size], len(found) > size
        token = encode_token(arguments, _pack(page[-1])) if more else ""
        events = (pb.ListInteractionsResponse(interactions=[_message(event)]) for event in page)
        return serialized(
            itertools.chain(events, [pb.ListInteractionsResponse(next_page_token=token)])
        )


def _unattributed(
    messages: Sequence[pb.Interaction],
    events: Sequence[Interaction],
    right: Sequence[int],
) -> list[pb.UnattributedInteraction]:
    return [
        pb.UnattributedInteraction(position=position, event_id=event.event_id)
        for position, event in zip(right, events, strict=True)
        if messages[position].recommendation_token != event.recommendation_token
    ]


def _pack(last: Interaction) -> bytes:
    return TIME.pack(last.time) + f"{last.event_id}{SEPARATOR}{last.user_id}".encode()


def _unpack(arguments: Sequence[str], token: str) -> tuple[int, str, str]:
    if len(token) > MAX_TOKEN:
        raise foreign_token()
    position = decode_token(arguments, token)
    # The check in a token tells mistakes, not malice: what follows may be anybody's.
    try:
        [time] = TIME.unpack_from(position)
        event_id, user_id = position[TIME.size :].decode().split(SEPARATOR)
        return time, event_id, user_id
    except (struct.error, ValueError):
        raise foreign_token() from None


def _message(event: Interaction) -> pb.Interaction:
    message = pb.Interaction(
        event_id=event.event_id,
        user_id=event.user_id,
        item_id=event.item_id,
        type=event.type,
        value=event.value,
        query=event.query,
        recommendation_token=event.recommendation_token,
    )
    message.time.FromMicroseconds(event.time)
    return message
