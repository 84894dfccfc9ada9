"""ItemService, as the fake server has it: a catalogue in a dictionary."""

from collections.abc import Iterator

import grpc
from google.rpc import status_pb2
from longtail.runtime.errors import InferenceFailed, InvalidArgument, NotFound, Violation
from longtail.v1 import item_service_pb2
from longtail.v1.item_service_pb2_grpc import ItemServiceServicer

from tests.unit.client.fake import Fake

BAD_TITLE = InvalidArgument(Violation("items[0].title", "too long")).status()
FAILED = InferenceFailed("the device failed").status()


class FakeItems(ItemServiceServicer):
    def __init__(self, fake: Fake) -> None:
        self.fake = fake

    def BatchUpsertItems(
        self, request: item_service_pb2.BatchUpsertItemsRequest, context: grpc.ServicerContext
    ) -> item_service_pb2.BatchUpsertItemsResponse:
        self.fake.receive(request, context)
        statuses, before = [], dict(self.fake.items)
        for item in request.items:
            status = {"refuse me": BAD_TITLE, "fail": FAILED}.get(item.title)
            statuses.append(status or status_pb2.Status())
            if status is None:
                self.fake.items[item.id] = item
        written = [each for each in request.items if self.fake.items.get(each.id) is each]
        return item_service_pb2.BatchUpsertItemsResponse(
            statuses=statuses,
            revision=7,
            added_count=sum(each.id not in before for each in written),
            changed_count=sum(before.get(each.id, each) != each for each in written),
            unchanged_count=sum(before.get(each.id) == each for each in written),
        )

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
