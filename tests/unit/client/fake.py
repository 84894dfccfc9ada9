"""What the fake server was asked, and what it answers."""

from collections.abc import Callable
from dataclasses import dataclass, field

import grpc
from google.protobuf.message import Message
from longtail.runtime.errors import ServiceError
from longtail.v1.item_pb2 import Item
from longtail.v1.recommendation_service_pb2 import (
    CompareRecommendationsResponse,
    ExplainItemResponse,
    Recommendation,
    RecommendResponse,
)


@dataclass
class Fake:
    """What was asked, and what is answered: `failures` are used up one call at a time."""

    address: str = ""
    requests: list[Message] = field(default_factory=list)
    timeouts: list[float | None] = field(default_factory=list)
    failures: list[ServiceError] = field(default_factory=list)
    items: dict[str, Item] = field(default_factory=dict)
    polls: int = 0
    event_ids: set[str] = field(default_factory=set)
    pages: list[RecommendResponse] = field(
        default_factory=lambda: [
            RecommendResponse(results=[Recommendation(item_id="1", title="[bold]One", rank=1)])
        ]
    )
    explanation: ExplainItemResponse = field(
        default_factory=lambda: ExplainItemResponse(summary="It is there.")
    )
    comparison: CompareRecommendationsResponse = field(
        default_factory=CompareRecommendationsResponse
    )
    before_answer: Callable[[], None] = lambda: None

    def receive(self, request: Message, context: grpc.ServicerContext) -> None:
        self.requests.append(request)
        self.timeouts.append(context.time_remaining())
        if self.failures:
            status = self.failures.pop(0).status()
            context.set_trailing_metadata(
                (("grpc-status-details-bin", status.SerializeToString()),)
            )
            code = next(code for code in grpc.StatusCode if code.value[0] == status.code)
            context.abort(code, status.message)
        self.before_answer()
