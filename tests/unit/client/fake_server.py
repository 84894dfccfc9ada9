"""A server of the real contract on a real socket that answers as it is told: for client tests."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
from longtail.v1.admin_service_pb2_grpc import add_AdminServiceServicer_to_server
from longtail.v1.insight_service_pb2_grpc import add_InsightServiceServicer_to_server
from longtail.v1.interaction_service_pb2_grpc import add_InteractionServiceServicer_to_server
from longtail.v1.item_service_pb2_grpc import add_ItemServiceServicer_to_server
from longtail.v1.recommendation_service_pb2_grpc import (
    add_RecommendationServiceServicer_to_server,
)
from longtail.v1.review_service_pb2_grpc import add_ReviewServiceServicer_to_server

from tests.unit.client.fake import Fake
from tests.unit.client.fake_admin import FakeAdmin
from tests.unit.client.fake_interactions import FakeInteractions
from tests.unit.client.fake_items import FakeItems
from tests.unit.client.fake_recommendations import FakeInsight, FakeRecommendations
from tests.unit.client.fake_reviews import FakeReviews

__all__ = ["Fake", "fake_server", "stall_once"]


@contextmanager
def fake_server(
    address: str = "127.0.0.1:0", credentials: grpc.ServerCredentials | None = None
) -> Iterator[Fake]:
    """Serve, by default on a free loopback port, until the block ends."""
    fake = Fake()
    server = grpc.server(ThreadPoolExecutor(64))
    add_ItemServiceServicer_to_server(FakeItems(fake), server)
    add_InteractionServiceServicer_to_server(FakeInteractions(fake), server)
    add_RecommendationServiceServicer_to_server(FakeRecommendations(fake), server)
    add_AdminServiceServicer_to_server(FakeAdmin(fake), server)
    add_ReviewServiceServicer_to_server(FakeReviews(fake), server)
    add_InsightServiceServicer_to_server(FakeInsight(fake), server)
    if credentials is None:
        port = server.add_insecure_port(address)
    else:
        port = server.add_secure_port(address, credentials)
    fake.address = f"127.0.0.1:{port}"
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
