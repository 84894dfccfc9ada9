"""The asyncio client: the surface of the blocking one, awaited."""

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Concatenate, ParamSpec, Self

import grpc.aio
from longtail.client import calls, health
from longtail.client.call import Call, Request, Response, StreamCall, serialise
from longtail.client.channel import channel_options, default_address
from longtail.client.errors import error_from_rpc
from longtail.v1.item_pb2 import Item

P = ParamSpec("P")


def _unary(
    build: Callable[P, Call[Request, Response]],
) -> Callable[Concatenate["AsyncLongtailClient", P], Awaitable[Response]]:
    @functools.wraps(build)
    async def method(self: "AsyncLongtailClient", /, *args: P.args, **kwargs: P.kwargs) -> Response:
        return await self._call(build(*args, **kwargs))

    return method


def _stream(
    build: Callable[P, StreamCall[Request, Response]],
) -> Callable[Concatenate["AsyncLongtailClient", P], Awaitable[Response]]:
    @functools.wraps(build)
    async def method(self: "AsyncLongtailClient", /, *args: P.args, **kwargs: P.kwargs) -> Response:
        return await self._send(build(*args, **kwargs))

    return method


class AsyncLongtailClient:
    """Client of one server, for one event loop. Its calls raise LongtailError.

    `address` is host:port, by default `LONGTAIL_SERVER_ADDRESS` or 127.0.0.1:50051. `timeout` is
    the deadline in seconds of each call that is given none of its own, retries included.
    """

    def __init__(self, address: str | None = None, *, timeout: float = 10.0) -> None:
        self.address = address or default_address()
        self._timeout = timeout
        self._channel = grpc.aio.insecure_channel(self.address, options=channel_options())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection; calls in flight are cancelled."""
        await self._channel.close()

    recommend = _unary(calls.recommend)
    explain_item = _unary(calls.explain_item)
    get_item = _unary(calls.get_item)
    upsert_items = _unary(calls.upsert_items)
    import_items = _stream(calls.import_items)
    delete_item = _unary(calls.delete_item)
    write_interactions = _unary(calls.write_interactions)
    import_interactions = _stream(calls.import_interactions)
    delete_user_data = _unary(calls.delete_user_data)
    catalog_stats = _unary(calls.catalog_stats)
    server_info = _unary(calls.server_info)

    async def list_items(
        self,
        *,
        page_size: int = 0,
        timeout: float | None = None,  # noqa: ASYNC109  # given to gRPC
    ) -> AsyncIterator[Item]:
        """Yield every item in the order of the ids; `timeout` seconds are for each page."""
        token = ""
        while True:
            page = await self._call(
                calls.list_page(page_size=page_size, page_token=token, timeout=timeout)
            )
            for item in page.items:
                yield item
            token = page.next_page_token
            if not token:
                return

    async def wait_until_serving(
        self,
        *,
        timeout: float = 30.0,  # noqa: ASYNC109  # as in the blocking client
    ) -> None:
        """Return when the server says that it serves; TimeoutError after `timeout` seconds."""
        check: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(
            health.CHECK
        )
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while loop.time() < deadline:
            try:
                reply = await check(health.WHOLE_SERVER, timeout=health.CHECK_SECONDS)
                if reply == health.SERVING:
                    return
            except grpc.aio.AioRpcError:
                # Not there yet; the deadline ends the wait.
                pass
            await asyncio.sleep(health.POLL_SECONDS)
        raise TimeoutError(f"{self.address} did not serve within {timeout:g} s")

    async def _call(self, call: Call[Request, Response]) -> Response:
        method = self._channel.unary_unary(call.method, serialise, call.response.FromString)
        timeout = self._timeout if call.timeout is None else call.timeout
        try:
            return await method(call.request, timeout=timeout)
        except grpc.aio.AioRpcError as failure:
            raise error_from_rpc(failure) from failure

    async def _send(self, call: StreamCall[Request, Response]) -> Response:
        method = self._channel.stream_unary(call.method, serialise, call.response.FromString)
        try:
            return await method(call.requests, timeout=call.timeout)
        except grpc.aio.AioRpcError as failure:
            raise error_from_rpc(failure) from failure
