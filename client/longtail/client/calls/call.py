"""Calls as values: what is sent, where it goes and what comes back; sync and asyncio share them."""

import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Generic, Self, TypeVar

from google.protobuf.message import Message
from longtail.v1.interaction_service_pb2 import ListInteractionsRequest, ListInteractionsResponse
from longtail.v1.item_service_pb2 import ListItemsRequest, ListItemsResponse
from longtail.v1.recommendation_service_pb2 import RecommendRequest, RecommendResponse
from longtail.v1.review_service_pb2 import (
    ListDecisionsRequest,
    ListDecisionsResponse,
    ListReviewQueueRequest,
    ListReviewQueueResponse,
)

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)
Element = TypeVar("Element")
# What asks by `page_token` for more, and what says by `next_page_token` how to go on.
PageRequest = TypeVar(
    "PageRequest",
    bound=ListItemsRequest
    | ListInteractionsRequest
    | RecommendRequest
    | ListReviewQueueRequest
    | ListDecisionsRequest,
)
Page = TypeVar(
    "Page",
    bound=ListItemsResponse
    | ListInteractionsResponse
    | RecommendResponse
    | ListReviewQueueResponse
    | ListDecisionsResponse,
)

# Of a call that moves a whole file or catalogue.
STREAM_SECONDS = 600.0
# So many elements of a stream go into one message; the contract allows no more.
BATCH_ELEMENTS = 256
# So many items at their limits would pass the 16 MiB that a message may have.
BATCH_BYTES = 4 * 2**20


@dataclass(frozen=True)
class Call(Generic[Request, Response]):
    """One request with one answer; `timeout` in seconds, None for the client's own."""

    request: Request
    response: type[Response]
    timeout: float | None


class Outgoing(Generic[Request]):
    """The requests of a stream, and what ended them before they were all sent.

    gRPC keeps to itself what goes wrong where it takes them.
    """

    def __init__(self, requests: Iterator[Request]) -> None:
        self._requests = requests
        self.failure: BaseException | None = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Request:
        try:
            return next(self._requests)
        except StopIteration:
            raise
        except BaseException as error:
            self.failure = error
            raise


@dataclass(frozen=True)
class ClientStreamCall(Generic[Request, Response]):
    """A stream of requests with one answer; `timeout` in seconds for all of it."""

    request: type[Request]
    requests: Outgoing[Request]
    response: type[Response]
    timeout: float


@dataclass(frozen=True)
class ServerStreamCall(Generic[Request, Response, Element]):
    """One request with a stream of answers, each of some elements; `timeout` is for all of it."""

    request: Request
    response: type[Response]
    elements: Callable[[Response], Iterable[Element]]
    timeout: float


@dataclass(frozen=True)
class PagedCall(Generic[PageRequest, Page, Element]):
    """A list that comes in pages, each of some elements: to its last one or `limit` pages."""

    first: Call[PageRequest, Page]
    elements: Callable[[Page], Iterable[Element]]
    limit: int | None = None

    def page(self, token: str) -> Call[PageRequest, Page]:
        """Return the call for the page that a token asks for."""
        request = copy.deepcopy(self.first.request)
        request.page_token = token
        return replace(self.first, request=request)


AnsweredCall = Call[Request, Response] | ClientStreamCall[Request, Response]
ListedCall = PagedCall[PageRequest, Page, Element] | ServerStreamCall[Request, Response, Element]


def path(request: Message | type[Message]) -> str:
    """Return the path of the method that takes the request: the contract names it after that."""
    message = request.DESCRIPTOR
    (service,) = message.file.services_by_name.values()
    return f"/{service.full_name}/{message.name.removesuffix('Request')}"


def batches(
    elements: Iterable[Element], size_of: Callable[[Element], int]
) -> Iterator[list[Element]]:
    """Yield the elements in their order, as lists of at most 256 and, of several, 4 MiB."""
    batch: list[Element] = []
    size = 0
    for element in elements:
        length = size_of(element)
        if batch and (len(batch) == BATCH_ELEMENTS or size + length > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(element)
        size += length
    if batch:
        yield batch


def size_of(message: object) -> int:
    """Return the bytes of a message; 0 of what is none, which is refused where it is used."""
    return message.ByteSize() if isinstance(message, Message) else 0


def serialise(message: Message) -> bytes:
    """Return the bytes of a message of any type."""
    return message.SerializeToString()
