"""The load generator: a process apart, and what it does: closed loops and, of loadtest, the open.

Requests are serialised beforehand and answers are left as bytes, so that the generator takes as
little as it can of the cores it shares with what it measures.
"""

import asyncio
import math
import multiprocessing
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from typing import ParamSpec, TypeVar

import grpc.aio
from longtail.runtime.keys import HEADER, SCHEME
from longtail.v1 import embedding_service_pb2 as pb

from bench.figures import LoadError
from loadtest.open_loop import Call, NotSentError, Offered, Schedule, offer

P = ParamSpec("P")
T = TypeVar("T")
# A request, and how gRPC is to send it.
Ask = Callable[..., Awaitable[bytes]]

EMBED = "/longtail.v1.EmbeddingService/Embed"
CALL_SECONDS = 60.0
# One answer may hold 256 vectors.
_OPTIONS = [("grpc.max_receive_message_length", 16 * 2**20), ("grpc.enable_retries", 0)]


@dataclass
class Answers:
    """What came back: how long each answer took and all took together, and what failed.

    `answers` come with the numbers of their requests, in the order in which they arrived.
    """

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    answers: list[tuple[int, bytes]] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)

    @property
    def rate(self) -> float:
        """Answers per second."""
        return len(self.latencies) / self.seconds


class Generator:
    """Runs functions of modules in the generator's process, one at a time."""

    def __init__(self, processes: ProcessPoolExecutor) -> None:
        self._processes = processes

    def start(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Begin what `run` would wait for."""
        return self._processes.submit(function, *args, **kwargs)

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what `function` returns there."""
        return self.start(function, *args, **kwargs).result()

    def ask(
        self,
        address: str,
        method: str,
        requests: Sequence[bytes],
        callers: int = 1,
        seconds: float | None = None,
    ) -> Answers:
        """Return what `closed_loop` does; raise LoadError when a call failed."""
        return checked(self.run(closed_loop, address, method, requests, callers, seconds))


@contextmanager
def generator() -> Iterator[Generator]:
    """Start a generator, and end it with the block."""
    # A fork would inherit gRPC's threads as they happen to be.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as processes:
        yield Generator(processes)


def checked(outcome: Answers) -> Answers:
    """Return the outcome; raise LoadError when a call of it failed."""
    if outcome.errors:
        raise LoadError(f"calls failed: {dict(outcome.errors)}")
    return outcome


def closed_loop(
    address: str,
    method: str,
    requests: Sequence[bytes],
    callers: int,
    seconds: float | None = None,
    keep_answers: bool = False,
    secret: str = "",
) -> Answers:
    """Send each request once, in order, from `callers` at once; or over and over for `seconds`."""

    async def measure() -> Answers:
        async with calling(address, method, secret) as ask:
            supply = requests if seconds is None else _repeated(requests, seconds)
            return await ask_all([ask] * callers, supply, keep_answers)

    return asyncio.run(measure())


def open_loop(
    address: str,
    method: str,
    requests: Sequence[bytes],
    schedule: Schedule,
    deadline_seconds: float = CALL_SECONDS,
    secret: str = "",
) -> list[Offered[None]]:
    """Offer the requests, over and over, as scheduled; each is late after so long from its due."""
    offered: list[Offered[None]] = []

    async def measure() -> None:
        async with calling(address, method, secret) as ask:
            supply = (_due(ask, request, deadline_seconds) for request in cycle(requests))
            await offer(schedule, supply, offered.append)

    asyncio.run(measure())
    return offered


def latency(offered: Sequence[Offered[None]], percent: float) -> float:
    """Return a percentile of all that was offered, in seconds; infinite where nothing came."""
    taken = sorted(math.inf if each.error else each.latency for each in offered)
    return taken[max(0, math.ceil(len(taken) * percent / 100) - 1)]


def http_posts(
    address: str, path: str, bodies: Sequence[bytes], callers: int, keep_answers: bool = False
) -> Answers:
    """Post each JSON body once, in order, over as many connections that are kept alive."""

    async def measure() -> Answers:
        async with AsyncExitStack() as stack:
            asks = [
                await stack.enter_async_context(_posting(address, path)) for _ in range(callers)
            ]
            return await ask_all(asks, bodies, keep_answers)

    return asyncio.run(measure())


async def ask_all(asks: Sequence[Ask], requests: Iterable[bytes], keep_answers: bool) -> Answers:
    """Share the requests between callers, one for each of `asks`."""
    outcome = Answers()
    supply = enumerate(requests)

    async def call(ask: Ask) -> None:
        for number, request in supply:
            start = time.perf_counter()
            try:
                answer = await ask(request)
            except grpc.aio.AioRpcError as failure:
                outcome.errors[failure.code().name] += 1
            except (OSError, EOFError) as failure:
                outcome.errors[type(failure).__name__] += 1
            else:
                outcome.latencies.append(time.perf_counter() - start)
                if keep_answers:
                    outcome.answers.append((number, answer))

    start = time.perf_counter()
    await asyncio.gather(*map(call, asks))
    outcome.seconds = time.perf_counter() - start
    return outcome


@asynccontextmanager
async def calling(address: str, method: str, secret: str = "") -> AsyncIterator[Ask]:
    """Connect to a service; what is yielded takes a serialised request and returns the answer.

    `secret` is the API key of the caller, where one is needed.
    """
    async with grpc.aio.insecure_channel(address, options=_OPTIONS) as channel:
        await asyncio.wait_for(channel.channel_ready(), CALL_SECONDS)
        # Without serializers gRPC passes bytes.
        call: Ask = channel.unary_unary(method)
        yield partial(call, metadata=((HEADER, SCHEME + secret),)) if secret else call


def requests_of(
    texts: Sequence[str],
    per_call: int = 1,
    lane: pb.Lane = pb.LANE_INTERACTIVE,
    role: pb.Role = pb.ROLE_ITEM,
) -> list[bytes]:
    """Return serialised EmbedRequests of `per_call` texts each, the last of what is left."""
    return [
        pb.EmbedRequest(
            texts=texts[start : start + per_call], role=role, lane=lane
        ).SerializeToString()
        for start in range(0, len(texts), per_call)
    ]


def responses_of(outcome: Answers) -> list[pb.EmbedResponse]:
    """Return the EmbedResponses in the order of their requests.

    Raises LoadError when a call or a text of it failed.
    """
    responses = [pb.EmbedResponse.FromString(each) for _, each in sorted(checked(outcome).answers)]
    for response in responses:
        for result in response.results:
            if result.HasField("status"):
                raise LoadError(f"a text failed: {result.status.message}")
    return responses


def _repeated(requests: Sequence[bytes], seconds: float) -> Iterator[bytes]:
    until = time.perf_counter() + seconds
    for request in cycle(requests):
        if time.perf_counter() >= until:
            return
        yield request


def _due(ask: Ask, request: bytes, deadline_seconds: float) -> Call[None]:
    async def call(due: float) -> None:
        remaining = due + deadline_seconds - asyncio.get_running_loop().time()
        if remaining <= 0:
            raise NotSentError
        await ask(request, timeout=remaining)

    return call


@asynccontextmanager
async def _posting(address: str, path: str) -> AsyncIterator[Ask]:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n"

    async def ask(body: bytes) -> bytes:
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(answer.partition(b"content-length:")[2].partition(b"\r\n")[0])
        content = await reader.readexactly(length)
        if not answer.startswith(b"http/1.1 200"):
            raise OSError(content.decode(errors="replace"))
        return content

    try:
        yield ask
    finally:
        writer.close()
