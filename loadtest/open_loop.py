"""Sends requests at moments that are fixed beforehand, whatever the server does.

A closed loop waits for a slow server and so asks it less: the stall vanishes from its figures
(coordinated omission). Here every latency counts from the moment the request was due.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import cycle

import grpc.aio
from longtail.v1.recommendation_service_pb2 import RecommendRequest, RecommendResponse

from loadtest.measurements import Measurements

Recommend = Callable[[RecommendRequest], Awaitable[RecommendResponse]]


@dataclass(frozen=True)
class Schedule:
    """How the requests are spread: `rate` per second, in order, the warm-up's not counted."""

    rate: float
    seconds: float
    warmup_seconds: float
    max_in_flight: int


async def run(
    schedule: Schedule, requests: Sequence[RecommendRequest], connections: Sequence[Recommend]
) -> Measurements:
    """Offer the requests, over and over, to the connections in turn, and measure.

    Ends by itself once the last request is answered or past its deadline, which each of
    `connections` sets.
    """
    measured, warmup = Measurements(), Measurements()
    loop = asyncio.get_running_loop()
    in_flight: set[asyncio.Task[None]] = set()
    warmup_count = round(schedule.rate * schedule.warmup_seconds)
    count = warmup_count + round(schedule.rate * schedule.seconds)
    start = loop.time()
    supply = zip(range(count), cycle(requests), cycle(connections), strict=False)
    # The group ends the test when a task dies of something that is no answer of the server.
    async with asyncio.TaskGroup() as group:
        for number, request, recommend in supply:
            due = start + number / schedule.rate
            await asyncio.sleep(due - loop.time())
            into = warmup if number < warmup_count else measured
            into.offered += 1
            if len(in_flight) >= schedule.max_in_flight:
                into.not_sent += 1
                continue
            task = group.create_task(_send(recommend, request, due, into))
            in_flight.add(task)
            task.add_done_callback(in_flight.discard)
    measured.seconds = loop.time() - (start + schedule.warmup_seconds)
    return measured


async def _send(
    recommend: Recommend, request: RecommendRequest, due: float, into: Measurements
) -> None:
    loop = asyncio.get_running_loop()
    into.lag.record(loop.time() - due)
    try:
        response = await recommend(request)
    except grpc.aio.AioRpcError as failure:
        into.errors[failure.code().name] += 1
    else:
        into.answered(loop.time() - due, response.timings)
