"""A call as a value: what is sent, where it goes and what comes back; sync and asyncio share it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from google.protobuf.message import Message
from longtail.v1.interaction_service_pb2 import ListInteractionsResponse
from longtail.v1.item_service_pb2 import ListItemsResponse
from longtail.v1.recommendation_service_pb2 import RecommendResponse

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)
# What says by `next_page_token` how to go on.
Page = TypeVar("Page", ListItemsResponse, ListInteractionsResponse, RecommendResponse)

# Of a call that moves a whole file or catalogue.
STREAM_SECONDS = 600.0


@dataclass(frozen=True)
class Call(Generic[Request, Response]):
    """One request and where it goes; `timeout` in seconds, None for the client's own."""

    method: str
    request: Request
    response: type[Response]
    timeout: float | None


@dataclass(frozen=True)
class ClientStreamCall(Generic[Request, Response]):
    """A stream of requests with one answer; `timeout` in seconds for all of it."""

    method: str
    requests: Iterator[Request]
    response: type[Response]
    timeout: float


@dataclass(frozen=True)
class ServerStreamCall(Generic[Request, Response]):
    """One request with a stream of answers; `timeout` in seconds for all of it."""

    method: str
    request: Request
    response: type[Response]
    timeout: float


def serialise(message: Message) -> bytes:
    """Return the bytes of a message of any type."""
    return message.SerializeToString()
