"""How the asyncio client makes its calls: see `sync_transport`."""

from collections.abc import AsyncIterator, Callable
from itertools import islice, repeat

import grpc.aio
from longtail.client import health
from longtail.client.call import (
    Call,
    ClientStreamCall,
    Page,
    Request,
    Response,
    ServerStreamCall,
    serialise,
)
from longtail.client.channel import channel_options
from longtail.client.errors import error_from_rpc


class AsyncTransport:
    """One connection to `address`; `timeout` in seconds is of each call that has none of its own.

    For one event loop.
    """

    def __init__(self, address: str, timeout: float) -> None:
        self._timeout = timeout
        self._channel = grpc.aio.insecure_channel(address, options=channel_options())

    async def close(self) -> None:
        """Close the connection; calls in flight are cancelled."""
        await self._channel.close()

    async def call(self, call: Call[Request, Response]) -> Response:
        """Return the answer to one request."""
        method = self._channel.unary_unary(call.method, serialise, call.response.FromString)
        timeout = self._timeout if call.timeout is None else call.timeout
        try:
            return await method(call.request, timeout=timeout)
        except grpc.aio.AioRpcError as failure:
            raise error_from_rpc(failure) from failure

    async def pages(
        self,
        build: Callable[[str], Call[Request, Page]],
        *,
        token: str = "",
        limit: int | None = None,
    ) -> AsyncIterator[Page]:
        """Yield page after page, from the one that `token` asks for to the last or `limit`."""
        for _ in islice(repeat(None), limit):
            page = await self.call(build(token))
            yield page
            token = page.next_page_token
            if not token:
                return

    async def send(self, call: ClientStreamCall[Request, Response]) -> Response:
        """Return the answer to a stream of requests."""
        method = self._channel.stream_unary(call.method, serialise, call.response.FromString)
        try:
            return await method(call.requests, timeout=call.timeout)
        except grpc.aio.AioRpcError as failure:
            raise error_from_rpc(failure) from failure

    async def receive(self, call: ServerStreamCall[Request, Response]) -> AsyncIterator[Response]:
        """Yield the answers to one request."""
        method = self._channel.unary_stream(call.method, serialise, call.response.FromString)
        answers = method(call.request, timeout=call.timeout)
        try:
            async for answer in answers:
                yield answer
        except grpc.aio.AioRpcError as failure:
            raise error_from_rpc(failure) from failure
        finally:
            # Who stops listening early lets the server stop too.
            answers.cancel()

    async def is_serving(self) -> bool:
        """Return whether the server answers, and says that it serves."""
        check: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(
            health.CHECK
        )
        try:
            reply = await check(health.WHOLE_SERVER, timeout=health.CHECK_SECONDS)
        except grpc.aio.AioRpcError:
            return False
        return reply == health.SERVING
