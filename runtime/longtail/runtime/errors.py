"""Expected failures, each of which carries its gRPC status and the details a client can act on.

A status travels in the trailers of an RPC, of which clients take 8 KiB: what it echoes is cut.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from google.protobuf import duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode

DOMAIN = "longtail"

# In bytes of UTF-8. The trailers hold the message twice, percent-encoded and, with the details, in
# base64; so that of 8 KiB at most 3 and 5 are taken.
MESSAGE_BYTES = 1024
FIELD_BYTES, DESCRIPTION_BYTES = 256, 512
VIOLATIONS_BYTES = 2048
NAME_BYTES = 1024


def cut(text: str, limit: int) -> str:
    """Return `text`, or so much of its beginning as has `limit` bytes with an ellipsis."""
    # No character has less than one byte, so that this need not look at all of a long one.
    content = text[: limit + 1].encode()
    if len(content) <= limit:
        return text
    ellipsis = "\N{HORIZONTAL ELLIPSIS}"
    return content[: limit - len(ellipsis.encode())].decode(errors="ignore") + ellipsis


def _retry_info(seconds: float) -> error_details_pb2.RetryInfo:
    delay = duration_pb2.Duration()
    delay.FromNanoseconds(round(seconds * 1e9))
    return error_details_pb2.RetryInfo(retry_delay=delay)


class ServiceError(Exception):
    """An expected failure. `str(error)` is sent to the caller, so it must be safe to show."""

    code: ClassVar[StatusCode]
    reason: ClassVar[str]

    def details(self) -> Sequence[Message]:
        """Return details for the status, beside the ErrorInfo that every error has."""
        return ()

    def inside(self, parent: str) -> Self:
        """Return the failure, seen from a message that holds at `parent` what failed."""
        return self

    def status(self) -> status_pb2.Status:
        """Return the failure as a `google.rpc.Status`."""
        status = status_pb2.Status(code=self.code.value[0], message=cut(str(self), MESSAGE_BYTES))
        info = error_details_pb2.ErrorInfo(reason=self.reason, domain=DOMAIN)
        for detail in (info, *self.details()):
            status.details.add().Pack(detail)
        return status


@dataclass(frozen=True)
class Violation:
    """What is wrong with one field; `field` is its path, such as `items[3].vector`."""

    field: str
    description: str

    def __str__(self) -> str:
        return f"{self.field}: {self.description}"

    def inside(self, parent: str) -> "Violation":
        """Return the same violation, seen from a message that holds this one at `parent`."""
        return Violation(f"{parent}.{self.field}", self.description)


class InvalidArgument(ServiceError):
    """The request is wrong whatever the state of the server; each wrong field is named."""

    code = StatusCode.INVALID_ARGUMENT
    reason = "INVALID_ARGUMENT"

    def __init__(self, *violations: Violation) -> None:
        super().__init__("; ".join(map(str, violations)))
        self.violations = violations

    def inside(self, parent: str) -> Self:
        """Return it with the paths of its fields, seen from a message that holds them."""
        return type(self)(*(violation.inside(parent) for violation in self.violations))

    def details(self) -> Sequence[Message]:
        """Return the violations, as many of the first ones as there is room for."""
        bad_request = error_details_pb2.BadRequest()
        for violation in self.violations:
            bad_request.field_violations.add(
                field=cut(violation.field, FIELD_BYTES),
                description=cut(violation.description, DESCRIPTION_BYTES),
            )
            if bad_request.ByteSize() > VIOLATIONS_BYTES:
                del bad_request.field_violations[-1]
                break
        return (bad_request,)


class Unauthenticated(ServiceError):
    """There is no key, or no such key: the caller is not told which."""

    code = StatusCode.UNAUTHENTICATED
    reason = "UNAUTHENTICATED"

    def __init__(self) -> None:
        super().__init__("this needs an API key, as the metadata `authorization: Bearer KEY`")


class PermissionDenied(ServiceError):
    """The caller is known, and may not do this."""

    code = StatusCode.PERMISSION_DENIED
    reason = "PERMISSION_DENIED"


class NotFound(ServiceError):
    """There is no such resource."""

    code = StatusCode.NOT_FOUND
    reason = "NOT_FOUND"

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"there is no {kind} {name!r}")
        self.kind, self.name = kind, name

    def details(self) -> Sequence[Message]:
        """Return which resource is missing."""
        name = cut(self.name, NAME_BYTES)
        return (error_details_pb2.ResourceInfo(resource_type=self.kind, resource_name=name),)


class FailedPrecondition(ServiceError):
    """The system is not in the state that the request needs."""

    code = StatusCode.FAILED_PRECONDITION
    reason = "FAILED_PRECONDITION"


class Aborted(ServiceError):
    """Others changed the same thing meanwhile, again and again; a retry may succeed."""

    code = StatusCode.ABORTED
    reason = "ABORTED"


class Overloaded(ServiceError):
    """There is more work than can be done in time; the caller may try again after a while."""

    code = StatusCode.RESOURCE_EXHAUSTED
    reason = "OVERLOADED"

    def __init__(self, message: str, *, retry_seconds: float) -> None:
        super().__init__(message)
        self.retry_seconds = retry_seconds

    def details(self) -> Sequence[Message]:
        """Return when to try again."""
        return (_retry_info(self.retry_seconds),)


class StorageFull(ServiceError):
    """The disk refuses to take more; nothing of the write was kept."""

    code = StatusCode.RESOURCE_EXHAUSTED
    reason = "STORAGE_FULL"


class QuotaExceeded(ServiceError):
    """The caller may store no more; nothing of the write was kept."""

    code = StatusCode.RESOURCE_EXHAUSTED
    reason = "QUOTA_EXCEEDED"


class StoreDamaged(ServiceError):
    """A file of the store is not what was written. `problem` says which, or in what way."""

    code = StatusCode.DATA_LOSS
    reason = "STORE_DAMAGED"

    def __init__(self, problem: str) -> None:
        # SQLite tells it in several lines.
        self.problem = " ".join(problem.split())
        advice = "put its files back, or longtail-restore a snapshot"
        super().__init__(f"the store is damaged: {self.problem}; {advice}")


class AnswerTooLarge(ServiceError):
    """What was asked for does not fit into a message; it can be had in parts."""

    code = StatusCode.RESOURCE_EXHAUSTED
    reason = "ANSWER_TOO_LARGE"


class Unavailable(ServiceError):
    """Something this process depends on cannot be reached now; a retry may succeed."""

    code = StatusCode.UNAVAILABLE
    reason = "UNAVAILABLE"

    def __init__(self, message: str, *, retry_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_seconds = retry_seconds

    def details(self) -> Sequence[Message]:
        """Return when to try again, where that is known."""
        return () if self.retry_seconds is None else (_retry_info(self.retry_seconds),)


class DeadlineExceeded(ServiceError):
    """The time that the caller gave, or the server's own limit, has passed."""

    code = StatusCode.DEADLINE_EXCEEDED
    reason = "DEADLINE_EXCEEDED"


class StreamIdle(ServiceError):
    """The other end of a stream did nothing for so long that its place is given to others."""

    code = StatusCode.DEADLINE_EXCEEDED
    reason = "STREAM_IDLE"


class InferenceFailed(ServiceError):
    """The encoder failed on this input."""

    code = StatusCode.INTERNAL
    reason = "INFERENCE_FAILED"
