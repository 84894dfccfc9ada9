"""The blocking client."""

import functools
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

import grpc
from longtail.client import (
    admin_calls,
    health,
    interaction_calls,
    item_calls,
    recommendation_calls,
)
from longtail.client.call import (
    STREAM_SECONDS,
    Call,
    ClientStreamCall,
    Request,
    Response,
    ServerStreamCall,
    serialise,
)
from longtail.client.channel import channel_options, default_address
from longtail.client.errors import LongtailError, error_from_rpc
from longtail.client.operation_wait import POLL_SECONDS, WAIT_SECONDS, OperationWait
from longtail.v1.admin_service_pb2 import Operation
from longtail.v1.interaction_service_pb2 import Interaction, ListInteractionsResponse
from longtail.v1.item_pb2 import Item
from longtail.v1.item_service_pb2 import ListItemsResponse

P = ParamSpec("P")
Page = TypeVar("Page", ListItemsResponse, ListInteractionsResponse)


def _unary(
    build: Callable[P, Call[Request, Response]],
) -> Callable[Concatenate["LongtailClient", P], Response]:
    @functools.wraps(build)
    def method(self: "LongtailClient", /, *args: P.args, **kwargs: P.kwargs) -> Response:
        return self._call(build(*args, **kwargs))

    return method


def _stream(
    build: Callable[P, ClientStreamCall[Request, Response]],
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

    recommend = _unary(recommendation_calls.recommend)
    explain_item = _unary(recommendation_calls.explain_item)
    get_item = _unary(item_calls.get_item)
    get_items = _unary(item_calls.get_items)
    upsert_items = _unary(item_calls.upsert_items)
    update_item = _unary(item_calls.update_item)
    import_items = _stream(item_calls.import_items)
    delete_item = _unary(item_calls.delete_item)
    delete_items = _unary(item_calls.delete_items)
    write_interactions = _unary(interaction_calls.write_interactions)
    import_interactions = _stream(interaction_calls.import_interactions)
    delete_user_data = _unary(interaction_calls.delete_user_data)
    catalog_stats = _unary(admin_calls.catalog_stats)
    server_info = _unary(admin_calls.server_info)
    rebuild_index = _unary(admin_calls.rebuild_index)
    get_operation = _unary(admin_calls.get_operation)
    create_snapshot = _unary(admin_calls.create_snapshot)
    list_snapshots = _unary(admin_calls.list_snapshots)
    verify_snapshot = _unary(admin_calls.verify_snapshot)

    def list_items(
        self,
        *,
        page_size: int = 0,
        timeout: float | None = None,
    ) -> Iterator[Item]:
        """Yield every item in the order of the ids; `timeout` seconds are for each page."""
        for page in self._pages(
            lambda token: item_calls.list_items_page(
                page_size=page_size, page_token=token, timeout=timeout
            )
        ):
            yield from page.items

    def list_interactions(
        self,
        *,
        user_id: str = "",
        item_id: str = "",
        page_size: int = 0,
        timeout: float | None = None,
    ) -> Iterator[Interaction]:
        """Yield the interactions of a person, of an item or of both together, the latest first.

        One of `user_id` and `item_id` must be given; `timeout` seconds are for each page.
        """
        for page in self._pages(
            lambda token: interaction_calls.list_interactions_page(
                user_id=user_id,
                item_id=item_id,
                page_size=page_size,
                page_token=token,
                timeout=timeout,
            )
        ):
            yield from page.interactions

    def export_items(
        self,
        *,
        timeout: float = STREAM_SECONDS,
    ) -> Iterator[Item]:
        """Yield the whole catalogue in the order of ids; `timeout` seconds are for all of it."""
        for part in self._receive(item_calls.export_items(timeout=timeout)):
            yield from part.items

    def wait_for_operation(
        self,
        operation_id: str,
        *,
        timeout: float = WAIT_SECONDS,
        progress: Callable[[Operation], None] | None = None,
    ) -> Operation:
        """Return an operation when it has succeeded; `progress` is told how far it is meanwhile.

        Raises LongtailError when it fails, or when the server stays away for a minute, and
        TimeoutError after `timeout` seconds. The operation itself goes on then.
        """
        wait = OperationWait(operation_id, timeout, progress)
        while True:
            try:
                answer = self._call(admin_calls.get_operation(operation_id))
            except LongtailError as error:
                wait.bear(error)
            else:
                if wait.has_ended(answer.operation):
                    return answer.operation
            time.sleep(POLL_SECONDS)

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

    def _pages(self, build: Callable[[str], Call[Request, Page]]) -> Iterator[Page]:
        token = ""
        while True:
            page = self._call(build(token))
            yield page
            token = page.next_page_token
            if not token:
                return

    def _call(self, call: Call[Request, Response]) -> Response:
        method = self._channel.unary_unary(call.method, serialise, call.response.FromString)
        timeout = self._timeout if call.timeout is None else call.timeout
        try:
            return method(call.request, timeout=timeout)
        except grpc.RpcError as failure:
            raise error_from_rpc(failure) from failure

    def _send(self, call: ClientStreamCall[Request, Response]) -> Response:
        method = self._channel.stream_unary(call.method, serialise, call.response.FromString)
        try:
            return method(call.requests, timeout=call.timeout)
        except grpc.RpcError as failure:
            raise error_from_rpc(failure) from failure

    def _receive(self, call: ServerStreamCall[Request, Response]) -> Iterator[Response]:
        method = self._channel.unary_stream(call.method, serialise, call.response.FromString)
        answers = method(call.request, timeout=call.timeout)
        try:
            yield from answers
        except grpc.RpcError as failure:
            raise error_from_rpc(failure) from failure
        finally:
            # Who stops listening early lets the server stop too.
            answers.cancel()
