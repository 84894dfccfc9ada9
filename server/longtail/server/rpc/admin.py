"""AdminService: the running server, its operations, snapshots and vector spaces."""

import importlib.metadata

from google.protobuf import timestamp_pb2
from grpc.aio import ServicerContext
from longtail.server.catalogue.replica import CatalogueReplica
from longtail.server.catalogue.spaces.space import ADAPTED
from longtail.server.operations.runner import OperationRunner
from longtail.server.operations.snapshots import Snapshot
from longtail.server.process.pools import Pools
from longtail.server.rpc.read.fields import check_id
from longtail.server.rpc.read.spaces import MAX_NAME as MAX_SPACE_NAME
from longtail.server.rpc.read.spaces import new_dimension, new_space_name
from longtail.server.store.records import Operation, VectorSpace
from longtail.server.write.spaces import VectorSpaces
from longtail.v1 import admin_service_pb2 as pb
from longtail.v1 import admin_service_pb2_grpc


class AdminService(admin_service_pb2_grpc.AdminServiceServicer):
    """Describes the server, and takes down what is to be done in the background."""

    def __init__(
        self,
        view: CatalogueReplica,
        operations: OperationRunner,
        spaces: VectorSpaces,
        pools: Pools,
    ) -> None:
        self._view = view
        self._operations = operations
        self._spaces = spaces
        self._pools = pools
        self._version = _version()
        self._started = timestamp_pb2.Timestamp()
        self._started.GetCurrentTime()

    async def GetServerInfo(
        self,
        request: pb.GetServerInfoRequest,
        context: ServicerContext[pb.GetServerInfoRequest, pb.GetServerInfoResponse],
    ) -> pb.GetServerInfoResponse:
        """Describe the server."""
        state = self._view.state
        parameters, adapted = state.index.parameters, state.spaces.get(ADAPTED)
        head = None if adapted is None else adapted.head
        return pb.GetServerInfoResponse(
            version=self._version,
            model_id=state.encoder.binding.model_id,
            dimension=state.encoder.binding.dimension,
            revision=state.revision,
            start_time=self._started,
            index=pb.IndexInfo(
                live_count=self._view.live_count,
                tombstone_count=self._view.tombstone_count,
                links=parameters.links,
                ef_construction=parameters.ef_construction,
                ef_search=parameters.ef_search,
                delta_count=self._view.delta_count,
                recall=self._view.recall,
            ),
            head="" if head is None else head.version,
        )

    async def RebuildIndex(
        self,
        request: pb.RebuildIndexRequest,
        context: ServicerContext[pb.RebuildIndexRequest, pb.RebuildIndexResponse],
    ) -> pb.RebuildIndexResponse:
        """Have the index rebuilt."""
        if request.model_id:
            check_id("model_id", request.model_id)
        operation = await self._operations.rebuild_index(request.model_id)
        return pb.RebuildIndexResponse(operation=_operation(operation))

    async def GetOperation(
        self,
        request: pb.GetOperationRequest,
        context: ServicerContext[pb.GetOperationRequest, pb.GetOperationResponse],
    ) -> pb.GetOperationResponse:
        """Return how an operation stands."""
        operation = await self._operations.get(check_id("id", request.id))
        return pb.GetOperationResponse(operation=_operation(operation))

    async def CreateSnapshot(
        self,
        request: pb.CreateSnapshotRequest,
        context: ServicerContext[pb.CreateSnapshotRequest, pb.CreateSnapshotResponse],
    ) -> pb.CreateSnapshotResponse:
        """Have a snapshot made."""
        operation = await self._operations.create_snapshot()
        return pb.CreateSnapshotResponse(operation=_operation(operation))

    async def ListSnapshots(
        self,
        request: pb.ListSnapshotsRequest,
        context: ServicerContext[pb.ListSnapshotsRequest, pb.ListSnapshotsResponse],
    ) -> pb.ListSnapshotsResponse:
        """List the snapshots, the latest first."""
        snapshots = await self._operations.list_snapshots()
        return pb.ListSnapshotsResponse(snapshots=map(_snapshot, snapshots))

    async def DeleteSnapshot(
        self,
        request: pb.DeleteSnapshotRequest,
        context: ServicerContext[pb.DeleteSnapshotRequest, pb.DeleteSnapshotResponse],
    ) -> pb.DeleteSnapshotResponse:
        """Delete a snapshot."""
        size = await self._operations.delete_snapshot(check_id("id", request.id))
        return pb.DeleteSnapshotResponse(size_bytes=size)

    async def VerifySnapshot(
        self,
        request: pb.VerifySnapshotRequest,
        context: ServicerContext[pb.VerifySnapshotRequest, pb.VerifySnapshotResponse],
    ) -> pb.VerifySnapshotResponse:
        """Have a snapshot checked."""
        operation = await self._operations.verify_snapshot(check_id("id", request.id))
        return pb.VerifySnapshotResponse(operation=_operation(operation))

    async def CreateVectorSpace(
        self,
        request: pb.CreateVectorSpaceRequest,
        context: ServicerContext[pb.CreateVectorSpaceRequest, pb.CreateVectorSpaceResponse],
    ) -> pb.CreateVectorSpaceResponse:
        """Declare a vector space."""
        name = new_space_name("name", request.name)
        dimension = new_dimension("dimension", request.dimension)
        space, revision = await self._spaces.create(name, dimension)
        return pb.CreateVectorSpaceResponse(vector_space=self._space(space), revision=revision)

    async def ListVectorSpaces(
        self,
        request: pb.ListVectorSpacesRequest,
        context: ServicerContext[pb.ListVectorSpacesRequest, pb.ListVectorSpacesResponse],
    ) -> pb.ListVectorSpacesResponse:
        """List the vector spaces in the order of their names."""
        spaces = await self._pools.administration(self._spaces.all)
        return pb.ListVectorSpacesResponse(vector_spaces=map(self._space, spaces))

    async def DeleteVectorSpace(
        self,
        request: pb.DeleteVectorSpaceRequest,
        context: ServicerContext[pb.DeleteVectorSpaceRequest, pb.DeleteVectorSpaceResponse],
    ) -> pb.DeleteVectorSpaceResponse:
        """Delete a vector space."""
        name = check_id("name", request.name, MAX_SPACE_NAME)
        return pb.DeleteVectorSpaceResponse(revision=await self._spaces.delete(name))

    def _space(self, declared: VectorSpace) -> pb.VectorSpace:
        held = self._view.state.spaces.get(declared.name)
        return pb.VectorSpace(
            name=declared.name,
            dimension=declared.dimension,
            item_count=held.live_count if held and held.declared == declared else 0,
        )


def _operation(operation: Operation) -> pb.Operation:
    message = pb.Operation(
        id=operation.id,
        kind=pb.OperationKind.Name(operation.kind),
        state=pb.OperationState.Name(operation.state),
        done_count=operation.done,
        total_count=operation.total,
        create_time=_timestamp(operation.create_time),
        update_time=_timestamp(operation.update_time),
        snapshot_id=operation.snapshot_id,
        refused_count=operation.refused,
    )
    for item_id, refusal in operation.refusals.items():
        told = message.refusals.add(id=item_id)
        told.status.code, told.status.message = refusal["code"], refusal["message"]
    message.error.code = operation.error_code
    message.error.message = operation.error_message
    return message


def _snapshot(snapshot: Snapshot) -> pb.Snapshot:
    return pb.Snapshot(
        id=snapshot.id,
        create_time=_timestamp(snapshot.create_time),
        revision=snapshot.revision,
        model_id=snapshot.model_id,
        item_count=snapshot.items,
        interaction_count=snapshot.interactions,
        size_bytes=snapshot.size,
    )


def _timestamp(microseconds: int) -> timestamp_pb2.Timestamp:
    message = timestamp_pb2.Timestamp()
    message.FromMicroseconds(microseconds)
    return message


def _version() -> str:
    """Return the version of the server's wheel, or of the checkout that it runs from."""
    try:
        return importlib.metadata.version("longtail-server")
    except importlib.metadata.PackageNotFoundError:
        return importlib.metadata.version("longtail")
