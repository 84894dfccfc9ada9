"""ReviewService, as the fake server has it: of items it knows "1" alone, and decides nothing."""

import grpc
from google.rpc import status_pb2
from longtail.v1 import review_service_pb2 as pb
from longtail.v1.decision_pb2 import DECISION_KIND_PENALISE, DECISION_KIND_SUBMIT, Decision
from longtail.v1.item_pb2 import Item
from longtail.v1.review_service_pb2_grpc import ReviewServiceServicer

from tests.unit.client.fake import Fake


class FakeReviews(ReviewServiceServicer):
    def __init__(self, fake: Fake) -> None:
        self.fake = fake

    def ListReviewQueue(
        self, request: pb.ListReviewQueueRequest, context: grpc.ServicerContext
    ) -> pb.ListReviewQueueResponse:
        self.fake.receive(request, context)
        if request.page_token:
            return pb.ListReviewQueueResponse(items=[pb.QueuedItem(item=Item(id="2", title="Two"))])
        submitted = Decision(kind=DECISION_KIND_SUBMIT, author="bob", reason="[bold]look")
        queued = pb.QueuedItem(item=Item(id="1", title="One"), decision=submitted)
        return pb.ListReviewQueueResponse(items=[queued], next_page_token="more")

    def DecideItems(
        self, request: pb.DecideItemsRequest, context: grpc.ServicerContext
    ) -> pb.DecideItemsResponse:
        self.fake.receive(request, context)
        statuses = [status_pb2.Status(code=0 if each == "1" else 5) for each in request.item_ids]
        return pb.DecideItemsResponse(statuses=statuses, revision=9)

    def ListDecisions(
        self, request: pb.ListDecisionsRequest, context: grpc.ServicerContext
    ) -> pb.ListDecisionsResponse:
        self.fake.receive(request, context)
        decision = Decision(
            item_id="1",
            kind=DECISION_KIND_PENALISE,
            penalty=0.25,
            author="ann",
            reason="bait",
            in_force=True,
        )
        decision.expire_time.FromSeconds(1_800_000_000)
        return pb.ListDecisionsResponse(decisions=[decision])
