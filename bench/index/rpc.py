"""What the sections ask of a running server."""

from collections.abc import Iterator
from contextlib import contextmanager

import grpc
from longtail.v1 import (
    admin_service_pb2,
    admin_service_pb2_grpc,
    recommendation_service_pb2,
    recommendation_service_pb2_grpc,
)

_SECONDS = 30.0


class Client:
    """Calls to one server, one at a time."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._admin = admin_service_pb2_grpc.AdminServiceStub(channel)
        self._recommendations = recommendation_service_pb2_grpc.RecommendationServiceStub(channel)

    def index(self) -> admin_service_pb2.IndexInfo:
        """Return the state of the index."""
        request = admin_service_pb2.GetServerInfoRequest()
        answer: admin_service_pb2.GetServerInfoResponse = self._admin.GetServerInfo(
            request, timeout=_SECONDS
        )
        return answer.index

    def recommend(self, query: str) -> list[str]:
        """Return the ids of what is recommended for a query, by relevance alone."""
        request = recommendation_service_pb2.RecommendRequest(query=query)
        request.long_tail.strength = 0
        answer: recommendation_service_pb2.RecommendResponse = self._recommendations.Recommend(
            request, timeout=_SECONDS
        )
        return [result.item_id for result in answer.results]


@contextmanager
def client(address: str) -> Iterator[Client]:
    """Connect to the server at `address`, host:port."""
    with grpc.insecure_channel(address) as channel:
        yield Client(channel)
