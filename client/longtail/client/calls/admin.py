"""The calls of AdminService: see `recommendations`."""

from longtail.client.calls.built import built
from longtail.client.calls.call import Call
from longtail.v1.admin_service_pb2 import (
    CreateSnapshotRequest,
    CreateSnapshotResponse,
    CreateVectorSpaceRequest,
    CreateVectorSpaceResponse,
    DeleteSnapshotRequest,
    DeleteSnapshotResponse,
    DeleteVectorSpaceRequest,
    DeleteVectorSpaceResponse,
    GetOperationRequest,
    GetOperationResponse,
    GetServerInfoRequest,
    GetServerInfoResponse,
    ListSnapshotsRequest,
    ListSnapshotsResponse,
    ListVectorSpacesRequest,
    ListVectorSpacesResponse,
    RebuildIndexRequest,
    RebuildIndexResponse,
    VerifySnapshotRequest,
    VerifySnapshotResponse,
)


def server_info(
    *, timeout: float | None = None
) -> Call[GetServerInfoRequest, GetServerInfoResponse]:
    """Describe the running server."""
    return Call(GetServerInfoRequest(), GetServerInfoResponse, timeout)


def rebuild_index(
    model_id: str = "", *, timeout: float | None = None
) -> Call[RebuildIndexRequest, RebuildIndexResponse]:
    """Start to build the index anew, with another encoder's vectors when `model_id` names one.

    The answer's operation can be given to `wait_for_operation`. FAILED_PRECONDITION while another
    rebuild runs, or when the server cannot use that encoder.
    """
    return Call(RebuildIndexRequest(model_id=model_id), RebuildIndexResponse, timeout)


def get_operation(
    operation_id: str, *, timeout: float | None = None
) -> Call[GetOperationRequest, GetOperationResponse]:
    """Return how far an operation has come; NOT_FOUND when there is none of that id."""
    return Call(GetOperationRequest(id=operation_id), GetOperationResponse, timeout)


def create_snapshot(
    *, timeout: float | None = None
) -> Call[CreateSnapshotRequest, CreateSnapshotResponse]:
    """Start to copy the store on the server's disk; wait with `wait_for_operation`."""
    return Call(CreateSnapshotRequest(), CreateSnapshotResponse, timeout)


def list_snapshots(
    *, timeout: float | None = None
) -> Call[ListSnapshotsRequest, ListSnapshotsResponse]:
    """List the snapshots on the server's disk, the latest first."""
    return Call(ListSnapshotsRequest(), ListSnapshotsResponse, timeout)


def verify_snapshot(
    snapshot_id: str, *, timeout: float | None = None
) -> Call[VerifySnapshotRequest, VerifySnapshotResponse]:
    """Start to read a snapshot whole and to check it; wait with `wait_for_operation`.

    NOT_FOUND when there is none of that id.
    """
    return Call(VerifySnapshotRequest(id=snapshot_id), VerifySnapshotResponse, timeout)


def delete_snapshot(
    snapshot_id: str, *, timeout: float | None = None
) -> Call[DeleteSnapshotRequest, DeleteSnapshotResponse]:
    """Delete a snapshot; NOT_FOUND when there is none of that id."""
    return Call(DeleteSnapshotRequest(id=snapshot_id), DeleteSnapshotResponse, timeout)


def create_vector_space(
    name: str, dimension: int, *, timeout: float | None = None
) -> Call[CreateVectorSpaceRequest, CreateVectorSpaceResponse]:
    """Declare a vector space, so that items can have vectors of `dimension` in it.

    Harmless to repeat. FAILED_PRECONDITION when it is there with another dimension.
    """
    request = built(CreateVectorSpaceRequest, name=name, dimension=dimension)
    return Call(request, CreateVectorSpaceResponse, timeout)


def list_vector_spaces(
    *, timeout: float | None = None
) -> Call[ListVectorSpacesRequest, ListVectorSpacesResponse]:
    """List the vector spaces that were declared, and how many items have a vector in each."""
    return Call(ListVectorSpacesRequest(), ListVectorSpacesResponse, timeout)


def delete_vector_space(
    name: str, *, timeout: float | None = None
) -> Call[DeleteVectorSpaceRequest, DeleteVectorSpaceResponse]:
    """Delete a vector space and the items' vectors in it; NOT_FOUND when there is none."""
    request = built(DeleteVectorSpaceRequest, name=name)
    return Call(request, DeleteVectorSpaceResponse, timeout)
