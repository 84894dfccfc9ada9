"""InteractionService: what people did, over gRPC."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from google.rpc import status_pb2
from grpc.aio import ServicerContext
from longtail.v1 import interaction_service_pb2 as pb
from longtail.v1 import interaction_service_pb2_grpc

from runtime.errors import InvalidArgument
from server.catalogue import Catalogue
from server.services.refusals import Refusals
from server.validation import check_batch, check_id, each, interaction


class InteractionService(interaction_service_pb2_grpc.InteractionServiceServicer):
    """Writes interactions through the catalogue."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def WriteInteractions(
        self,
        request: pb.WriteInteractionsRequest,
        context: ServicerContext[pb.WriteInteractionsRequest, pb.WriteInteractionsResponse],
    ) -> pb.WriteInteractionsResponse:
        """Record a batch of interactions."""
        wrong, recorded, revision = await self._write(request.interactions)
        statuses = [
            wrong[position].status() if position in wrong else status_pb2.Status()
            for position in range(len(request.interactions))
        ]
        return pb.WriteInteractionsResponse(
            statuses=statuses, recorded_count=recorded, revision=revision
        )

    async def ImportInteractions(
        self,
        request_iterator: AsyncIterator[pb.ImportInteractionsRequest],
        context: ServicerContext[pb.ImportInteractionsRequest, pb.ImportInteractionsResponse],
    ) -> pb.ImportInteractionsResponse:
        """Record a stream of batches."""
        refusals = Refusals()
        imported = duplicates = revision = 0
        async for request in request_iterator:
            wrong, recorded, revision = await self._write(request.interactions)
            imported += recorded
            duplicates += len(request.interactions) - len(wrong) - recorded
            refusals.add(wrong, [event.event_id for event in request.interactions])
        return pb.ImportInteractionsResponse(
            imported_count=imported,
            duplicate_count=duplicates,
            refused_count=refusals.count,
            refusals=refusals.first,
            revision=revision,
        )

    async def DeleteUserData(
        self,
        request: pb.DeleteUserDataRequest,
        context: ServicerContext[pb.DeleteUserDataRequest, pb.DeleteUserDataResponse],
    ) -> pb.DeleteUserDataResponse:
        """Forget a person."""
        check_id("user_id", request.user_id)
        deleted, revision = await self._catalogue.delete_user(request.user_id)
        return pb.DeleteUserDataResponse(deleted_interaction_count=deleted, revision=revision)

    async def _write(
        self, messages: Sequence[pb.Interaction]
    ) -> tuple[dict[int, InvalidArgument], int, int]:
        check_batch("interactions", messages)
        # A thousand of them take long enough to be felt by others on the event loop.
        events, wrong = await asyncio.to_thread(each, "interactions", messages, interaction)
        recorded, revision = await self._catalogue.write_interactions(events)
        return wrong, recorded, revision
