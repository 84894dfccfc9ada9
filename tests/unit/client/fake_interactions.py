"""InteractionService, as the fake server has it."""

import grpc
from google.rpc import status_pb2
from longtail.v1 import interaction_service_pb2
from longtail.v1.interaction_service_pb2 import Interaction
from longtail.v1.interaction_service_pb2_grpc import InteractionServiceServicer

from tests.unit.client.fake import Fake

UNKNOWN_TOKEN = "unknown"


class FakeInteractions(InteractionServiceServicer):
    def __init__(self, fake: Fake) -> None:
        self.fake = fake

    def WriteInteractions(
        self,
        request: interaction_service_pb2.WriteInteractionsRequest,
        context: grpc.ServicerContext,
    ) -> interaction_service_pb2.WriteInteractionsResponse:
        self.fake.receive(request, context)
        before = len(self.fake.event_ids)
        self.fake.event_ids.update(each.event_id for each in request.interactions)
        return interaction_service_pb2.WriteInteractionsResponse(
            statuses=[status_pb2.Status() for _ in request.interactions],
            recorded_count=len(self.fake.event_ids) - before,
            revision=8,
            unattributed=[
                interaction_service_pb2.UnattributedInteraction(
                    position=position, event_id=each.event_id
                )
                for position, each in enumerate(request.interactions)
                if each.recommendation_token == UNKNOWN_TOKEN
            ],
        )

    def ListInteractions(
        self,
        request: interaction_service_pb2.ListInteractionsRequest,
        context: grpc.ServicerContext,
    ) -> interaction_service_pb2.ListInteractionsResponse:
        self.fake.receive(request, context)
        number = int(request.page_token or 0)
        return interaction_service_pb2.ListInteractionsResponse(
            interactions=[Interaction(event_id=str(number), user_id=request.user_id)],
            next_page_token=str(number + 1) if number < 2 else "",
        )

    def RecordImpressions(
        self,
        request: interaction_service_pb2.RecordImpressionsRequest,
        context: grpc.ServicerContext,
    ) -> interaction_service_pb2.RecordImpressionsResponse:
        self.fake.receive(request, context)
        return interaction_service_pb2.RecordImpressionsResponse(
            recorded_count=len(request.impressions), revision=8
        )

    def DeleteUserData(
        self, request: interaction_service_pb2.DeleteUserDataRequest, context: grpc.ServicerContext
    ) -> interaction_service_pb2.DeleteUserDataResponse:
        self.fake.receive(request, context)
        return interaction_service_pb2.DeleteUserDataResponse(
            deleted_interaction_count=3,
            deleted_impression_count=2,
            revision=8,
            erasure_operation_id="o1",
        )
