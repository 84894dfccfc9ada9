"""Requests that come at a rate whatever becomes of them, beside bulk callers where there are any.

Runs in the load generator. Latency is from when a request was due, so that a stall of the worker or
of the generator itself is not left out (coordinated omission: G. Tene, "How NOT to Measure
Latency").
"""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle

import grpc.aio

from bench.closed_loop import CALL_SECONDS, EMBED, Answers, RawCall, ask_all, calling, repeated


@dataclass(frozen=True)
class Schedule:
    """`rate` requests per second for `seconds`; those of the first `warmup_seconds` do not count.

    Each has `deadline_seconds` from when it is due.
    """

    rate: float
    seconds: float
    warmup_seconds: float = 0.0
    deadline_seconds: float = CALL_SECONDS


@dataclass
class Offered:
    """What became of the requests; seconds are from when each was due, refusals' from sending."""

    sent: int = 0
    too_late_to_send: int = 0
    latencies: list[float] = field(default_factory=list)
    refusals: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    lags: list[float] = field(default_factory=list)

    def add(self, other: "Offered") -> None:
        """Count another load's requests with ours."""
        self.sent += other.sent
        self.too_late_to_send += other.too_late_to_send
        self.latencies += other.latencies
        self.refusals += other.refusals
        self.errors += other.errors
        self.lags += other.lags


@dataclass
class Mixed:
    """Interactive requests, and the bulk calls that ran beside them."""

    interactive: Offered
    bulk: Answers


def grpc_schedule(address: str, requests: Sequence[bytes], schedule: Schedule) -> Offered:
    """Offer the requests, over and over, as scheduled."""

    async def measure() -> Offered:
        async with grpc.aio.insecure_channel(address) as channel:
            await channel.channel_ready()
            return await offer(channel.unary_unary(EMBED), requests, schedule)

    return asyncio.run(measure())


def grpc_mixed(
    address: str,
    interactive: Sequence[bytes],
    schedule: Schedule,
    bulk: Sequence[bytes],
    bulk_callers: int,
) -> Mixed:
    """Offer interactive requests while `bulk_callers` send bulk calls, until the schedule's end.

    A rate of zero sends bulk alone, no bulk callers interactive requests alone.
    """

    async def measure() -> Mixed:
        async with calling(address) as ask, grpc.aio.insecure_channel(address) as channel:
            await channel.channel_ready()
            until = time.perf_counter() + schedule.seconds
            bulk_done, offered = await asyncio.gather(
                ask_all([ask] * bulk_callers, repeated(bulk, until), keep_answers=False),
                offer(channel.unary_unary(EMBED), interactive, schedule),
            )
            return Mixed(offered, bulk_done)

    return asyncio.run(measure())


async def offer(
    call: RawCall,
    requests: Sequence[bytes],
    schedule: Schedule,
) -> Offered:
    """Send each request when it is due, and return when the last is answered or refused."""
    warmup, measured = Offered(), Offered()
    count = round(schedule.rate * (schedule.seconds + schedule.warmup_seconds))
    warmup_count = round(schedule.rate * schedule.warmup_seconds)
    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number, request in zip(range(count), cycle(requests), strict=False):
            due = start + number / schedule.rate
            # Zero too gives way to the answers that came meanwhile.
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            into = warmup if number < warmup_count else measured
            group.create_task(_send(call, request, due, schedule.deadline_seconds, into))
    return measured


async def _send(
    call: RawCall,
    request: bytes,
    due: float,
    deadline_seconds: float,
    into: Offered,
) -> None:
    sent = time.perf_counter()
    into.lags.append(sent - due)
    remaining = due + deadline_seconds - sent
    if remaining <= 0:
        into.too_late_to_send += 1
        return
    into.sent += 1
    try:
        await call(request, timeout=remaining)
    except grpc.aio.AioRpcError as failure:
        into.errors[failure.code().name] += 1
        if failure.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
            into.refusals.append(time.perf_counter() - sent)
    else:
        into.latencies.append(time.perf_counter() - due)
