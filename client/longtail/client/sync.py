"""The blocking client."""

import functools
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Concatenate, ParamSpec, Self

import grpc
from longtail.client import calls, health
from longtail.client.call import Call, Request, Response, StreamCall, serialise
from longtail.client.channel import channel_options, default_address
from longtail.client.errors import error_from_rpc
from longtail.v1.item_pb2 import Item

P = ParamSpec("P")


def _unary(
    build: Callable[P, Call[Request, Response]],
) -> Callable[Concatenate["LongtailClient", P], Response]:
    @functools.wraps(build)
    def method(self: "LongtailClient", /, *args: P.args, **kwargs: P.kwargs) -> Response:
        return self._call(build(*args, **kwargs))

    return method


def _stream(
    build: Callable[P, StreamCall[Request, Response]],
) -> Callable[Concatenate["LongtailClient", P], Response]:
    @functools.wraps(build)
    def method(self: "LongtailClient", /, *args: P.args, **kwargs: P.kwargs) -> Response:
        return self._send(build(*args, **kwargs))

    return method


class LongtailClient:
    """Client of one server; safe to share between threads. Its calls raise LongtailError.

    `address` is host:port, by default `LONGTAIL_SERVER_ADDRESS` or 127.0.0.1:50051. `timeout` is
    the deadline in seconds of each call that is given none of its own, retries included.
    """

    def __init__(self, address: str | None = None, *, timeout: float = 10.0) -> None:
        self.address = address or default_address()
        self._timeout = timeout
        self._channel = grpc.insecure_channel(self.address, options=channel_options())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; calls in flight are cancelled."""
        self._channel.close()

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

    def list_items(self, *, page_size: int = 0, timeout: float | None = None) -> Iterator[Item]:
        """Yield every item in the order of the ids; `timeout` seconds are for each page."""
        token = ""
        while True:
            page = self._call(
                calls.list_page(page_size=page_size, page_token=token, timeout=timeout)
            )
            yield from page.items
            token = page.next_page_token
            if not token:
                return

    def wait_until_serving(self, *, timeout: float = 30.0) -> None:
        """Return when the server says that it serves; TimeoutError after `timeout` seconds."""
        check: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(health.CHECK)
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            try:
                if check(health.WHOLE_SERVER, timeout=health.CHECK_SECONDS) == health.SERVING:
                    return
            except grpc.RpcError:
                # Not there yet; the deadline ends the wait.
                pass
            time.sleep(health.POLL_SECONDS)
        raise TimeoutError(f"{self.address} did not serve within {timeout:g} s")

    def _call(self, call: Call[Request, Response]) -> Response:
        method = self._channel.unary_unary(call.method, serialise, call.response.FromString)
        timeout = self._timeout if call.timeout is None else call.timeout
        try:
            return method(call.request, timeout=timeout)
        except grpc.RpcError as failure:
            raise error_from_rpc(failure) from failure

    def _send(self, call: StreamCall[Request, Response]) -> Response:
        method = self._channel.stream_unary(call.method, serialise, call.response.FromString)
        try:
            return method(call.requests, timeout=call.timeout)
        except grpc.RpcError as failure:
            raise error_from_rpc(failure) from failure
