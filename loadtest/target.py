"""Where the load goes: this machine unless told otherwise, over connections that never retry."""

import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import cycle
from typing import Any

import grpc.aio
from google.protobuf.message import Message
from longtail.client.calls.channel import Access, open_aio_channel
from longtail.v1.interaction_service_pb2 import WriteInteractionsResponse
from longtail.v1.item_service_pb2 import BatchUpsertItemsResponse
from longtail.v1.recommendation_service_pb2 import RecommendResponse

from loadtest.measurements import Answered, Measurements
from loadtest.open_loop import Call, Schedule, offer
from loadtest.scenarios import Operation

Ask = Callable[[Operation], Awaitable[Message]]

_PACKAGE = "/longtail.v1."
_ANSWERS: dict[str, type[Message]] = {
    "RecommendationService/Recommend": RecommendResponse,
    "InteractionService/WriteInteractions": WriteInteractionsResponse,
    "ItemService/BatchUpsertItems": BatchUpsertItemsResponse,
}


def is_loopback(address: str) -> bool:
    """Return whether host:port is on this machine, judged by the name alone."""
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@asynccontextmanager
async def connect(
    address: str, *, connections: int, deadline_seconds: float
) -> AsyncIterator[Sequence[Ask]]:
    """Open `connections` connections; each answers an operation or fails within the deadline.

    Whose key and certificates it is, the environment says.
    """
    options: list[tuple[str, str | int]] = [
        # A retry would hide a failure, and be load that was not offered.
        ("grpc.enable_retries", 0),
        # Channels of equal options share one connection otherwise.
        ("grpc.use_local_subchannel_pool", 1),
    ]
    access = Access.from_environment()
    async with AsyncExitStack() as stack:
        channels = [
            await stack.enter_async_context(open_aio_channel(address, access, options))
            for _ in range(connections)
        ]
        yield [_asking(channel, deadline_seconds, access) for channel in channels]


async def run(
    schedule: Schedule, operations: Iterator[Operation], connections: Sequence[Ask]
) -> Measurements:
    """Offer the operations to the connections in turn, as scheduled, and measure.

    Ends by itself once the last request is answered or past its deadline, which each of
    `connections` sets.
    """
    measured = Measurements(schedule)
    supply = zip(operations, cycle(connections), strict=False)
    calls = (_call(ask, operation) for operation, ask in supply)
    measured.seconds = await offer(schedule, calls, measured.note)
    return measured


def _call(ask: Ask, operation: Operation) -> Call[Answered]:
    async def call(_: float) -> Answered:
        return Answered(operation.method, await ask(operation))

    return call


def _asking(channel: grpc.aio.Channel, deadline_seconds: float, access: Access) -> Ask:
    metadata = access.metadata
    calls: dict[str, Any] = {
        method: channel.unary_unary(
            _PACKAGE + method,
            request_serializer=lambda request: request.SerializeToString(),
            response_deserializer=answer.FromString,
        )
        for method, answer in _ANSWERS.items()
    }

    async def ask(operation: Operation) -> Message:
        response: Message = await calls[operation.method](
            operation.request, timeout=deadline_seconds, metadata=metadata
        )
        return response

    return ask
