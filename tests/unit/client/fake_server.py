"""A server of the real contract on a real socket that answers as it is told: for client tests."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import grpc
from google.protobuf.message import Message
from google.rpc import status_pb2
from longtail.v1 import (
    admin_service_pb2,
    insight_service_pb2,
    interaction_service_pb2,
    item_service_pb2,
    recommendation_service_pb2,
)
from longtail.v1.admin_service_pb2 import Operation
from longtail.v1.admin_service_pb2_grpc import (
    AdminServiceServicer,
    add_AdminServiceServicer_to_server,
)
from longtail.v1.insight_service_pb2_grpc import (
    InsightServiceServicer,
    add_InsightServiceServicer_to_server,
)
from longtail.v1.interaction_service_pb2 import Interaction
from longtail.v1.interaction_service_pb2_grpc import (
    InteractionServiceServicer,
    add_InteractionServiceServicer_to_server,
)
from longtail.v1.item_pb2 import Item
from longtail.v1.item_service_pb2_grpc import ItemServiceServicer, add_ItemServiceServicer_to_server
from longtail.v1.recommendation_service_pb2_grpc import (
    RecommendationServiceServicer,
    add_RecommendationServiceServicer_to_server,
)

from runtime.errors import InvalidArgument, NotFound, ServiceError, Violation

BAD_TITLE = InvalidArgument(Violation("items[0].title", "too long")).status()


@dataclass
class Fake:
    """What was asked, and what is answered: `failures` are used up one call at a time."""

    address: str = ""
    requests: list[Message] = field(default_factory=list)
    timeouts: list[float | None] = field(default_factory=list)
    failures: list[ServiceError] = field(default_factory=list)
    items: dict[str, Item] = field(default_factory=dict)
    polls: int = 0
    event_ids: set[str] = field(default_factory=set)
    before_answer: Callable[[], None] = lambda: None

    def receive(self, request: Message, context: grpc.ServicerContext) -> None:
        self.requests.append(request)
        self.timeouts.append(context.time_remaining())
        if self.failures:
            status = self.failures.pop(0).status()
            context.set_trailing_metadata(
                (("grpc-status-details-bin", status.SerializeToString()),)
            )
            code = next(code for code in grpc.StatusCode if code.value[0] == status.code)
            context.abort(code, status.message)
        self.before_answer()


class FakeItems(ItemServiceServicer):
    def __init__(self, fake: Fake) -> None:
        self.fake = fake

    def BatchUpsertItems(
        self, request: item_service_pb2.BatchUpsertItemsRequest, context: grpc.ServicerContext
    ) -> item_service_pb2.BatchUpsertItemsResponse:
        self.fake.receive(request, context)
        statuses = []
        for item in request.items:
            refused = item.title == "refuse me"
            statuses.append(BAD_TITLE if refused else status_pb2.Status())
            if not refused:
                self.fake.items[item.id] = item
        return item_service_pb2.BatchUpsertItemsResponse(statuses=statuses, revision=7)

    def ImportItems(
        self,
        request_iterator: Iterator[item_service_pb2.ImportItemsRequest],
        context: grpc.ServicerContext,
    ) -> item_service_pb2.ImportItemsResponse:
        count = 0
        for request in request_iterator:
            self.fake.requests.append(request)
            count += len(request.items)
        return item_service_pb2.ImportItemsResponse(imported_count=count)

    def ListItems(
        self, request: item_service_pb2.ListItemsRequest, context: grpc.ServicerContext
    ) -> item_service_pb2.ListItemsResponse:
        self.fake.receive(request, context)
        ids = [item_id for item_id in sorted(self.fake.items) if item_id > request.page_token]
        page = ids[: request.page_size or 100]
        return item_service_pb2.ListItemsResponse(
            items=[self.fake.items[item_id] for item_id in page],
            next_page_token=page[-1] if len(page) < len(ids) else "",
        )

    def BatchGetItems(
        self, request: item_service_pb2.BatchGetItemsRequest, context: grpc.ServicerContext
    ) -> item_service_pb2.BatchGetItemsResponse:
        self.fake.receive(request, context)
        return item_service_pb2.BatchGetItemsResponse(
            items=[self.fake.items[each] for each in request.ids if each in self.fake.items],
            missing_ids=[each for each in request.ids if each not in self.fake.items],
        )

    def UpdateItem(
        self, request: item_service_pb2.UpdateItemRequest, context: grpc.ServicerContext
    ) -> item_service_pb2.UpdateItemResponse:
        self.fake.receive(request, context)
        return item_service_pb2.UpdateItemResponse(item=request.item, revision=9)

    def BatchDeleteItems(
        self, request: item_service_pb2.BatchDeleteItemsRequest, context: grpc.ServicerContext
    ) -> item_service_pb2.BatchDeleteItemsResponse:
        self.fake.receive(request, context)
        return item_service_pb2.BatchDeleteItemsResponse(
            statuses=[
                status_pb2.Status()
                if self.fake.items.pop(each, None) is not None
                else NotFound("item", each).status()
                for each in request.ids
            ],
            revision=9,
        )

    def ExportItems(
        self, request: item_service_pb2.ExportItemsRequest, context: grpc.ServicerContext
    ) -> Iterator[item_service_pb2.ExportItemsResponse]:
        self.fake.receive(request, context)
        for item_id in sorted(self.fake.items):
            yield item_service_pb2.ExportItemsResponse(items=[self.fake.items[item_id]])


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


class FakeRecommendations(RecommendationServiceServicer):
    def __init__(self, fake: Fake) -> None:
        self.fake = fake

    def Recommend(
        self, request: recommendation_service_pb2.RecommendRequest, context: grpc.ServicerContext
    ) -> recommendation_service_pb2.RecommendResponse:
        self.fake.receive(request, context)
        response = recommendation_service_pb2.RecommendResponse()
        response.results.add(item_id="1", title="[bold]One", rank=1)
        response.timings.total.FromMilliseconds(3)
        return response

    def ExplainItem(
        self, request: recommendation_service_pb2.ExplainItemRequest, context: grpc.ServicerContext
    ) -> recommendation_service_pb2.ExplainItemResponse:
        self.fake.receive(request, context)
        return recommendation_service_pb2.ExplainItemResponse(summary="It is there.")


class FakeInsight(InsightServiceServicer):
    def GetCatalogStats(
        self, request: insight_service_pb2.GetCatalogStatsRequest, context: grpc.ServicerContext
    ) -> insight_service_pb2.GetCatalogStatsResponse:
        return insight_service_pb2.GetCatalogStatsResponse()


class FakeAdmin(AdminServiceServicer):
    def __init__(self, fake: Fake) -> None:
        self.fake = fake

    def RebuildIndex(
        self, request: admin_service_pb2.RebuildIndexRequest, context: grpc.ServicerContext
    ) -> admin_service_pb2.RebuildIndexResponse:
        self.fake.receive(request, context)
        return admin_service_pb2.RebuildIndexResponse(operation=Operation(id="o1"))

    def CreateSnapshot(
        self, request: admin_service_pb2.CreateSnapshotRequest, context: grpc.ServicerContext
    ) -> admin_service_pb2.CreateSnapshotResponse:
        return admin_service_pb2.CreateSnapshotResponse(operation=Operation(id="o1"))

    def VerifySnapshot(
        self, request: admin_service_pb2.VerifySnapshotRequest, context: grpc.ServicerContext
    ) -> admin_service_pb2.VerifySnapshotResponse:
        return admin_service_pb2.VerifySnapshotResponse(operation=Operation(id=request.id))

    def ListSnapshots(
        self, request: admin_service_pb2.ListSnapshotsRequest, context: grpc.ServicerContext
    ) -> admin_service_pb2.ListSnapshotsResponse:
        return admin_service_pb2.ListSnapshotsResponse(
            snapshots=[admin_service_pb2.Snapshot(id="s1", size_bytes=2_000_000)]
        )

    def GetOperation(
        self, request: admin_service_pb2.GetOperationRequest, context: grpc.ServicerContext
    ) -> admin_service_pb2.GetOperationResponse:
        operation = Operation(
            id=request.id, state=admin_service_pb2.OPERATION_STATE_RUNNING, total_count=3
        )
        if request.id == "broken":
            operation.state = admin_service_pb2.OPERATION_STATE_FAILED
            operation.error.CopyFrom(status_pb2.Status(code=15, message="a byte is flipped"))
        else:
            self.fake.polls += 1
            operation.done_count = self.fake.polls
            if self.fake.polls == 3:
                operation.state = admin_service_pb2.OPERATION_STATE_SUCCEEDED
                operation.snapshot_id = "s1"
        return admin_service_pb2.GetOperationResponse(operation=operation)

    def GetServerInfo(
        self, request: admin_service_pb2.GetServerInfoRequest, context: grpc.ServicerContext
    ) -> admin_service_pb2.GetServerInfoResponse:
        return admin_service_pb2.GetServerInfoResponse(version="fake")


@contextmanager
def fake_server() -> Iterator[Fake]:
    """Serve on a free loopback port until the block ends."""
    fake = Fake()
    server = grpc.server(ThreadPoolExecutor(64))
    add_ItemServiceServicer_to_server(FakeItems(fake), server)
    add_InteractionServiceServicer_to_server(FakeInteractions(fake), server)
    add_RecommendationServiceServicer_to_server(FakeRecommendations(fake), server)
    add_AdminServiceServicer_to_server(FakeAdmin(fake), server)
    add_InsightServiceServicer_to_server(FakeInsight(), server)
    fake.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield fake
    finally:
        server.stop(None).wait()


def stall_once(seconds: float, at_call: int) -> Callable[[], None]:
    """Return a hook after which calls wait, from the `at_call`th, until `seconds` have passed."""
    calls, ends = 0, 0.0

    def wait() -> None:
        nonlocal calls, ends
        calls += 1
        if calls == at_call:
            ends = time.monotonic() + seconds
        time.sleep(max(0.0, ends - time.monotonic()))

    return wait
