"""What the server says is wrong, read from `google.rpc.Status`: of a whole call or of one element.

The status is parsed here, without grpcio-status, which would be one more dependency for callers.
"""

from dataclasses import dataclass

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

_STATUS_KEY = "grpc-status-details-bin"
_CODES = {code.value[0]: code for code in grpc.StatusCode}


@dataclass(frozen=True)
class Violation:
    """What is wrong with one field; `field` is its path, such as `items[3].text`."""

    field: str
    description: str


class LongtailError(Exception):
    """A call, or one element of a batch, that the server refused or could not answer.

    `code` is the gRPC status code, `reason` the machine-readable ErrorInfo.reason ("" when the
    server sent none), `violations` the wrong fields, and `retry_after` the seconds after which the
    server suggests another try (None when it suggests none).
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        *,
        reason: str = "",
        violations: tuple[Violation, ...] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.reason = reason
        self.violations = violations
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.code.name}: {self.message}"


def error_from_status(status: status_pb2.Status) -> LongtailError | None:
    """Return what a status, such as one of a batch's `statuses`, says is wrong; None when OK."""
    if status.code == grpc.StatusCode.OK.value[0]:
        return None
    info = error_details_pb2.ErrorInfo()
    bad_request = error_details_pb2.BadRequest()
    retry = error_details_pb2.RetryInfo()
    retry_after = None
    for detail in status.details:
        if detail.Unpack(retry):
            retry_after = retry.retry_delay.ToNanoseconds() / 1e9
        else:
            # Each of these leaves its message as it is when the detail is of another type.
            detail.Unpack(info)
            detail.Unpack(bad_request)
    return LongtailError(
        _CODES.get(status.code, grpc.StatusCode.UNKNOWN),
        status.message,
        reason=info.reason,
        violations=tuple(
            Violation(violation.field, violation.description)
            for violation in bad_request.field_violations
        ),
        retry_after=retry_after,
    )


def error_from_rpc(failure: grpc.RpcError) -> LongtailError:
    """Return the failure of a call, sync or asyncio, with the details that its trailers carry."""
    # Every failed call of gRPC is a grpc.Call too; its types do not say so.
    assert isinstance(failure, grpc.Call | grpc.aio.AioRpcError)  # noqa: S101
    for key, value in failure.trailing_metadata() or ():
        if key == _STATUS_KEY and isinstance(value, bytes):
            try:
                error = error_from_status(status_pb2.Status.FromString(value))
            except DecodeError:
                continue
            if error is not None:
                return error
    return LongtailError(failure.code(), failure.details() or "")
