"""How the blocking client makes its calls: over one connection, with failures as LongtailError."""

from collections.abc import Iterator
from itertools import islice, repeat

import grpc
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
from longtail.client.calls.channel import Access, check_address, open_channel
from longtail.client.calls.connection import Connection
from longtail.client.calls.errors import error_from_rpc


class Transport:
    """One connection to `address`; `timeout` in seconds is of each call that has none of its own.

    Safe to share between threads. AddressError when `address` leads nowhere.
    """

    def __init__(self, address: str, timeout: float, access: Access) -> None:
        check_address(address)
        self._timeout = timeout
        self._connection = Connection(
            access, lambda: open_channel(address, access), lambda channel: channel.close()
        )

    def close(self) -> None:
        """Close the connection; calls in flight are cancelled."""
        for channel in self._connection.channels():
            channel.close()

    def answer(self, call: AnsweredCall[Request, Response]) -> Response:
        """Return the one answer to a request or to a stream of them."""
        read = call.response.FromString
        with self._connection.call() as (channel, metadata):
            try:
                if isinstance(call, ClientStreamCall):
                    send = channel.stream_unary(path(call.request), serialise, read)
                    try:
                        return send(call.requests, timeout=call.timeout, metadata=metadata)
                    except grpc.RpcError:
                        if call.requests.failure is not None:
                            raise call.requests.failure from None
                        raise
                ask = channel.unary_unary(path(call.request), serialise, read)
                timeout = self._timeout if call.timeout is None else call.timeout
                return ask(call.request, timeout=timeout, metadata=metadata)
            except grpc.RpcError as failure:
                raise error_from_rpc(failure) from failure

    def elements(
        self, call: ListedCall[PageRequest, Page, Element, Request, Response]
    ) -> Iterator[Element]:
        """Yield what the pages of a list, or the answers of a stream, are made of."""
        if isinstance(call, PagedCall):
            return self._paged(call)
        return self._streamed(call)

    def _paged(self, call: PagedCall[PageRequest, Page, Element]) -> Iterator[Element]:
        token = call.first.request.page_token
        for _ in islice(repeat(None), call.limit):
            page = self.answer(call.page(token))
            yield from call.elements(page)
            token = page.next_page_token
            if not token:
                return

    def _streamed(self, call: ServerStreamCall[Request, Response, Element]) -> Iterator[Element]:
        with self._connection.call() as (channel, metadata):
            receive = channel.unary_stream(path(call.request), serialise, call.response.FromString)
            answers = receive(call.request, timeout=call.timeout, metadata=metadata)
            try:
                for answer in answers:
                    yield from call.elements(answer)
            except grpc.RpcError as failure:
                raise error_from_rpc(failure) from failure
            finally:
                # Who stops listening early lets the server stop too.
                answers.cancel()

    def is_serving(self) -> bool:
        """Return whether the server answers, and says that it serves."""
        with self._connection.call() as (channel, _):
            check: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(health.CHECK)
            try:
                reply = check(health.WHOLE_SERVER, timeout=health.CHECK_SECONDS)
            except grpc.RpcError:
                return False
        return reply == health.SERVING
