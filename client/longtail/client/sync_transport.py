"""How the blocking client makes its calls: over one connection, with failures as LongtailError."""

from collections.abc import Callable, Iterator
from itertools import islice, repeat

import grpc
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


class Transport:
    """One connection to `address`; `timeout` in seconds is of each call that has none of its own.

    Safe to share between threads.
    """

    def __init__(self, address: str, timeout: float) -> None:
        self._timeout = timeout
        self._channel = grpc.insecure_channel(address, options=channel_options())

    def close(self) -> None:
        """Close the connection; calls in flight are cancelled."""
        self._channel.close()

    def call(self, call: Call[Request, Response]) -> Response:
        """Return the answer to one request."""
        method = self._channel.unary_unary(call.method, serialise, call.response.FromString)
        timeout = self._timeout if call.timeout is None else call.timeout
        try:
            return method(call.request, timeout=timeout)
        except grpc.RpcError as failure:
            raise error_from_rpc(failure) from failure

    def pages(
        self,
        build: Callable[[str], Call[Request, Page]],
        *,
        token: str = "",
        limit: int | None = None,
    ) -> Iterator[Page]:
        """Yield page after page, from the one that `token` asks for to the last or `limit`."""
        for _ in islice(repeat(None), limit):
            page = self.call(build(token))
            yield page
            token = page.next_page_token
            if not token:
                return

    def send(self, call: ClientStreamCall[Request, Response]) -> Response:
        """Return the answer to a stream of requests."""
        method = self._channel.stream_unary(call.method, serialise, call.response.FromString)
        try:
            return method(call.requests, timeout=call.timeout)
        except grpc.RpcError as failure:
            raise error_from_rpc(failure) from failure

    def receive(self, call: ServerStreamCall[Request, Response]) -> Iterator[Response]:
        """Yield the answers to one request."""
        method = self._channel.unary_stream(call.method, serialise, call.response.FromString)
        answers = method(call.request, timeout=call.timeout)
        try:
            yield from answers
        except grpc.RpcError as failure:
            raise error_from_rpc(failure) from failure
        finally:
            # Who stops listening early lets the server stop too.
            answers.cancel()

    def is_serving(self) -> bool:
        """Return whether the server answers, and says that it serves."""
        check: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(health.CHECK)
        try:
            reply = check(health.WHOLE_SERVER, timeout=health.CHECK_SECONDS)
        except grpc.RpcError:
            return False
        return reply == health.SERVING
