"""How the asyncio client makes its calls: see `sync_transport`."""

import asyncio
from collections.abc import AsyncIterator
from itertools import islice, repeat

import grpc.aio
from longtail.client.calls import health
from longtail.client.calls.call import (
    AnsweredCall,
    ClientStreamCall,
    Element,
    ListedCall,
    Page,
    PagedCall,
    PageRequest,
    Request,
    Response,
    ServerStreamCall,
    path,
    serialise,
)
from longtail.client.calls.channel import Access, channel_options, check_address, open_aio_channel
from longtail.client.calls.connection import Connection
from longtail.client.calls.errors import error_from_rpc


class AsyncTransport:
    """One connection to `address`; `timeout` in seconds is of each call that has none of its own.

    For one event loop. AddressError when `address` leads nowhere.
    """

    def __init__(self, address: str, timeout: float, access: Access) -> None:
        check_address(address)
        self._timeout = timeout
        self._closing: set[asyncio.Task[None]] = set()
        self._connection = Connection(
            access, lambda: open_aio_channel(address, access, channel_options(address)), self._drop
        )

    async def close(self) -> None:
        """Close the connection; calls in flight are cancelled."""
        for channel in self._connection.channels():
            await channel.close()
        await asyncio.gather(*self._closing)

    async def answer(self, call: AnsweredCall[Request, Response]) -> Response:
        """Return the one answer to a request or to a stream of them."""
        read = call.response.FromString
        with self._connection.call() as (channel, metadata):
            try:
                if isinstance(call, ClientStreamCall):
                    send = channel.stream_unary(path(call.request), serialise, read)
                    try:
                        return await send(call.requests, timeout=call.timeout, metadata=metadata)
                    # The latter is how gRPC ends what it cannot take.
                    except (grpc.aio.AioRpcError, asyncio.CancelledError):
                        if call.requests.failure is not None:
                            raise call.requests.failure from None
                        raise
                ask = channel.unary_unary(path(call.request), serialise, read)
                timeout = self._timeout if call.timeout is None else call.timeout
                return await ask(call.request, timeout=timeout, metadata=metadata)
            except grpc.aio.AioRpcError as failure:
                raise error_from_rpc(failure) from failure

    def elements(
        self, call: ListedCall[PageRequest, Page, Element, Request, Response]
    ) -> AsyncIterator[Element]:
        """Yield what the pages of a list, or the answers of a stream, are made of."""
        if isinstance(call, PagedCall):
            return self._paged(call)
        return self._streamed(call)

    async def _paged(self, call: PagedCall[PageRequest, Page, Element]) -> AsyncIterator[Element]:
        token = call.first.request.page_token
        for _ in islice(repeat(None), call.limit):
            page = await self.answer(call.page(token))
            for element in call.elements(page):
                yield element
            token = page.next_page_token
            if not token:
                return

    async def _streamed(
        self, call: ServerStreamCall[Request, Response, Element]
    ) -> AsyncIterator[Element]:
        with self._connection.call() as (channel, metadata):
            receive = channel.unary_stream(path(call.request), serialise, call.response.FromString)
            answers = receive(call.request, timeout=call.timeout, metadata=metadata)
            try:
                async for answer in answers:
                    for element in call.elements(answer):
                        yield element
            except grpc.aio.AioRpcError as failure:
                raise error_from_rpc(failure) from failure
            finally:
                # Who stops listening early lets the server stop too.
                answers.cancel()

    async def is_serving(self) -> bool:
        """Return whether the server answers, and says that it serves."""
        with self._connection.call() as (channel, _):
            check: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
                health.CHECK
            )
            try:
                reply = await check(health.WHOLE_SERVER, timeout=health.CHECK_SECONDS)
            except grpc.aio.AioRpcError:
                return False
        return reply == health.SERVING

    def _drop(self, channel: grpc.aio.Channel) -> None:
        closing = asyncio.create_task(channel.close())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
