"""Callers that ask again as soon as they are answered: what a service can do at most.

Runs in the load generator. Requests are serialised beforehand and answers are left as bytes, so
that the generator takes as little as it can of the cores it shares with what it measures.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle

import grpc.aio

Ask = Callable[[bytes], Awaitable[bytes]]
# Without serializers gRPC passes bytes.
RawCall = grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]

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


def grpc_calls(
    address: str,
    requests: Sequence[bytes],
    callers: int,
    keep_answers: bool = True,
    method: str = EMBED,
) -> Answers:
    """Send each serialised request once, in order, from `callers` at once."""

    async def measure() -> Answers:
        async with calling(address, method) as ask:
            return await ask_all([ask] * callers, requests, keep_answers)

    return asyncio.run(measure())


def grpc_calls_for(
    address: str, requests: Sequence[bytes], callers: int, seconds: float, method: str
) -> Answers:
    """Send the serialised requests, over and over, from `callers` at once for some seconds."""

    async def measure() -> Answers:
        async with calling(address, method) as ask:
            until = time.perf_counter() + seconds
            return await ask_all([ask] * callers, repeated(requests, until), False)

    return asyncio.run(measure())


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


def repeated(requests: Sequence[bytes], until: float) -> Iterator[bytes]:
    """Yield the requests, over and over, until a moment of `time.perf_counter`."""
    for request in cycle(requests):
        if time.perf_counter() >= until:
            return
        yield request


@asynccontextmanager
async def calling(address: str, method: str = EMBED) -> AsyncIterator[Ask]:
    """Connect to a service; what is yielded takes a serialised request and returns the answer."""
    async with grpc.aio.insecure_channel(address, options=_OPTIONS) as channel:
        await channel.channel_ready()
        call: RawCall = channel.unary_unary(method)

        async def ask(request: bytes) -> bytes:
            answer: bytes = await call(request, timeout=CALL_SECONDS)
            return answer

        yield ask


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
