"""When a wait for an operation ends, and how; the clients ask and sleep."""

import time
from collections.abc import Callable

import grpc
from longtail.client.calls.errors import LongtailError, error_from_status
from longtail.v1.admin_service_pb2 import (
    OPERATION_STATE_FAILED,
    OPERATION_STATE_SUCCEEDED,
    Operation,
)

POLL_SECONDS = 0.5
WAIT_SECONDS = 3600.0
# An operation outlives its server, which may be starting again.
PATIENCE_SECONDS = 60.0
_AWAY = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})


class OperationWait:
    """The rules of one wait: `timeout` in seconds for all of it, `progress` told of each answer."""

    def __init__(
        self,
        operation_id: str,
        timeout: float,
        progress: Callable[[Operation], None] | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._operation_id = operation_id
        self._timeout = timeout
        self._progress = progress
        self._clock = clock
        self._started = self._last_heard = clock()

    def has_ended(self, operation: Operation) -> bool:
        """Take an answer; True when the operation has succeeded.

        Raises LongtailError when it has failed, TimeoutError when there is no time left for it.
        """
        self._last_heard = self._clock()
        if self._progress is not None:
            self._progress(operation)
        if operation.state == OPERATION_STATE_SUCCEEDED:
            return True
        if operation.state == OPERATION_STATE_FAILED:
            raise error_from_status(operation.error) or LongtailError(
                grpc.StatusCode.UNKNOWN, f"operation {operation.id} failed and does not say why"
            )
        self._check_time()
        return False

    def bear(self, error: LongtailError) -> None:
        """Take a failure to ask; raise it unless the server may only be away for a moment."""
        away = self._clock() - self._last_heard
        if error.code not in _AWAY or away > PATIENCE_SECONDS:
            raise error
        self._check_time()

    def _check_time(self) -> None:
        if self._clock() - self._started > self._timeout:
            raise TimeoutError(
                f"operation {self._operation_id} did not end within {self._timeout:g} s"
            )
