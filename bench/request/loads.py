"""Loads on a server that come whatever becomes of them; they run in the load generator."""

import asyncio
import time
from collections.abc import Sequence

from longtail.v1.recommendation_service_pb2 import RecommendRequest

from bench.closed_loop import Ask, calling
from loadtest.open_loop import Schedule
from loadtest.target import connect, run

_HEALTH = "/grpc.health.v1.Health/Check"
_EVERY_SECONDS = 0.005
_WARMUP_SECONDS, _DEADLINE_SECONDS, _MOST_IN_FLIGHT = 1.0, 5.0, 500


def offer(
    address: str, requests: Sequence[bytes], rate: float, seconds: float
) -> tuple[float, float]:
    """Offer serialised RecommendRequests at a rate; return p50 and p99 in seconds."""
    schedule = Schedule(rate, seconds, _WARMUP_SECONDS, _MOST_IN_FLIGHT)
    messages = [RecommendRequest.FromString(request) for request in requests]

    async def measure() -> tuple[float, float]:
        async with connect(
            address, connections=1, deadline_seconds=_DEADLINE_SECONDS
        ) as connections:
            measured = await run(schedule, messages, connections)
            return measured.percentile(50), measured.percentile(99)

    return asyncio.run(measure())


def probe(address: str, seconds: float) -> list[float]:
    """Ask for the health of a server every 5 ms; return how long each answer took."""
    latencies: list[float] = []

    async def ask_once(ask: Ask) -> None:
        sent = time.perf_counter()
        await ask(b"")
        latencies.append(time.perf_counter() - sent)

    async def measure() -> None:
        async with calling(address, _HEALTH) as ask, asyncio.TaskGroup() as group:
            due = time.perf_counter()
            end = due + seconds
            while due < end:
                group.create_task(ask_once(ask))
                due += _EVERY_SECONDS
                await asyncio.sleep(max(0.0, due - time.perf_counter()))

    asyncio.run(measure())
    return latencies
