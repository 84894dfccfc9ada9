"""AdminService, as the fake server has it: every operation needs three polls."""

import grpc
from google.rpc import status_pb2
from longtail.v1 import admin_service_pb2
from longtail.v1.admin_service_pb2 import Operation
from longtail.v1.admin_service_pb2_grpc import AdminServiceServicer

from tests.unit.client.fake import Fake


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

    def DeleteSnapshot(
        self, request: admin_service_pb2.DeleteSnapshotRequest, context: grpc.ServicerContext
    ) -> admin_service_pb2.DeleteSnapshotResponse:
        self.fake.receive(request, context)
        return admin_service_pb2.DeleteSnapshotResponse(size_bytes=2_000_000)

    def ListSnapshots(
        self, request: admin_service_pb2.ListSnapshotsRequest, context: grpc.ServicerContext
    ) -> admin_service_pb2.ListSnapshotsResponse:
        return admin_service_pb2.ListSnapshotsResponse(
            snapshots=[
                admin_service_pb2.Snapshot(
                    id="000001-20261128T093727Z-4",
                    size_bytes=2_000_000,
                    model_id="all-MiniLM-L6-v2@e241fe336787",
                )
            ]
        )

    def CreateVectorSpace(
        self, request: admin_service_pb2.CreateVectorSpaceRequest, context: grpc.ServicerContext
    ) -> admin_service_pb2.CreateVectorSpaceResponse:
        self.fake.receive(request, context)
        space = admin_service_pb2.VectorSpace(name=request.name, dimension=request.dimension)
        return admin_service_pb2.CreateVectorSpaceResponse(vector_space=space, revision=7)

    def ListVectorSpaces(
        self, request: admin_service_pb2.ListVectorSpacesRequest, context: grpc.ServicerContext
    ) -> admin_service_pb2.ListVectorSpacesResponse:
        space = admin_service_pb2.VectorSpace(name="image", dimension=512, item_count=12_345)
        return admin_service_pb2.ListVectorSpacesResponse(vector_spaces=[space])

    def DeleteVectorSpace(
        self, request: admin_service_pb2.DeleteVectorSpaceRequest, context: grpc.ServicerContext
    ) -> admin_service_pb2.DeleteVectorSpaceResponse:
        self.fake.receive(request, context)
        return admin_service_pb2.DeleteVectorSpaceResponse(revision=8)

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
        if request.id == "partial":
            operation.state = admin_service_pb2.OPERATION_STATE_SUCCEEDED
            operation.refused_count = 1200
            refused = status_pb2.Status(code=3, message="text: is no text")
            operation.refusals.add(id="film", status=refused)
        return admin_service_pb2.GetOperationResponse(operation=operation)

    def GetServerInfo(
        self, request: admin_service_pb2.GetServerInfoRequest, context: grpc.ServicerContext
    ) -> admin_service_pb2.GetServerInfoResponse:
        return admin_service_pb2.GetServerInfoResponse(version="fake")
