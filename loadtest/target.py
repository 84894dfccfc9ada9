"""Where the load goes: this machine unless told otherwise, over connections that never retry."""

import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import cycle

import grpc.aio
from longtail.client.calls.channel import Access, open_aio_channel
from longtail.v1.recommendation_service_pb2 import RecommendRequest, RecommendResponse
from longtail.v1.recommendation_service_pb2_grpc import RecommendationServiceStub

from loadtest.measurements import Measurements
from loadtest.open_loop import Call, Schedule, offer

Recommend = Callable[[RecommendRequest], Awaitable[RecommendResponse]]


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
) -> AsyncIterator[Sequence[Recommend]]:
    """Open `connections` connections; each answers a request or fails within the deadline."""
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
        yield [_recommend(channel, deadline_seconds, access) for channel in channels]


async def run(
    schedule: Schedule, requests: Sequence[RecommendRequest], connections: Sequence[Recommend]
) -> Measurements:
    """Offer the requests, over and over, to the connections in turn, and measure.

    Ends by itself once the last request is answered or past its deadline, which each of
    `connections` sets.
    """
    measured = Measurements()
    supply = zip(cycle(requests), cycle(connections), strict=False)
    calls = (_call(recommend, request) for request, recommend in supply)
    measured.seconds = await offer(schedule, calls, measured.note)
    return measured


def _call(recommend: Recommend, request: RecommendRequest) -> Call[RecommendResponse]:
    return lambda _: recommend(request)


def _recommend(channel: grpc.aio.Channel, deadline_seconds: float, access: Access) -> Recommend:
    stub, metadata = RecommendationServiceStub(channel), access.metadata

    async def recommend(request: RecommendRequest) -> RecommendResponse:
        response: RecommendResponse = await stub.Recommend(
            request, timeout=deadline_seconds, metadata=metadata
        )
        return response

    return recommend
