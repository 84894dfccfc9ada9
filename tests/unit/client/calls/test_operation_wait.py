"""How long a wait for an operation bears a server that is away."""

import grpc
import pytest
from longtail.client.calls.errors import LongtailError
from longtail.client.calls.operation_wait import PATIENCE_SECONDS, OperationWait
from longtail.v1.admin_service_pb2 import Operation

AWAY = LongtailError(grpc.StatusCode.UNAVAILABLE, "away")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_server_that_starts_again_is_waited_for() -> None:
    clock = Clock()
    wait = OperationWait("1", timeout=3600, progress=None, clock=clock)
    for _ in range(3):
        clock.now += PATIENCE_SECONDS
        wait.bear(AWAY)
        assert not wait.has_ended(Operation(id="1"))

    clock.now += PATIENCE_SECONDS + 1
    with pytest.raises(LongtailError, match="away"):
        wait.bear(AWAY)


def test_other_failures_end_the_wait() -> None:
    wait = OperationWait("1", timeout=3600, progress=None)
    with pytest.raises(LongtailError, match="none"):
        wait.bear(LongtailError(grpc.StatusCode.NOT_FOUND, "none"))


def test_the_time_ends_while_the_server_is_away_too() -> None:
    clock = Clock()
    wait = OperationWait("1", timeout=10, progress=None, clock=clock)
    clock.now = 11
    with pytest.raises(TimeoutError, match="10 s"):
        wait.bear(AWAY)
