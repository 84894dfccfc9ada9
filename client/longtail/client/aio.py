"""The asyncio client: the surface of the blocking one, awaited."""

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, Unpack

from longtail.client import (
    admin_calls,
    health,
    insight_calls,
    interaction_calls,
    item_calls,
    recommendation_calls,
)
from longtail.client.aio_transport import AsyncTransport
from longtail.client.call import (
    STREAM_SECONDS,
    Call,
    ClientStreamCall,
    Request,
    Response,
)
from longtail.client.channel import default_address
from longtail.client.errors import LongtailError
from longtail.client.operation_wait import POLL_SECONDS, WAIT_SECONDS, OperationWait
from longtail.client.recommend_request import RecommendOptions
from longtail.v1.admin_service_pb2 import Operation
from longtail.v1.interaction_service_pb2 import Interaction
from longtail.v1.item_pb2 import Item
from longtail.v1.recommendation_service_pb2 import RecommendResponse

P = ParamSpec("P")


def _unary(
    build: Callable[P, Call[Request, Response]],
) -> Callable[Concatenate["AsyncLongtailClient", P], Awaitable[Response]]:
    @functools.wraps(build)
    async def method(self: "AsyncLongtailClient", /, *args: P.args, **kwargs: P.kwargs) -> Response:
        return await self._transport.call(build(*args, **kwargs))

    return method


def _stream(
    build: Callable[P, ClientStreamCall[Request, Response]],
) -> Callable[Concatenate["AsyncLongtailClient", P], Awaitable[Response]]:
    @functools.wraps(build)
    async def method(self: "AsyncLongtailClient", /, *args: P.args, **kwargs: P.kwargs) -> Response:
        return await self._transport.send(build(*args, **kwargs))

    return method


class AsyncLongtailClient:
    """Client of one server, for one event loop. Its calls raise LongtailError.

    `address` is host:port, by default `LONGTAIL_SERVER_ADDRESS` or 127.0.0.1:50051. `timeout` is
    the deadline in seconds of each call that is given none of its own, retries included.
    """

    def __init__(self, address: str | None = None, *, timeout: float = 10.0) -> None:
        self.address = address or default_address()
        self._transport = AsyncTransport(self.address, timeout)

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
        await self._transport.close()

    recommend = _unary(recommendation_calls.recommend)
    batch_recommend = _unary(recommendation_calls.batch_recommend)
    compare_recommendations = _unary(recommendation_calls.compare_recommendations)
    explain_item = _unary(recommendation_calls.explain_item)
    get_item = _unary(item_calls.get_item)
    get_items = _unary(item_calls.get_items)
    upsert_items = _unary(item_calls.upsert_items)
    update_item = _unary(item_calls.update_item)
    import_items = _stream(item_calls.import_items)
    delete_item = _unary(item_calls.delete_item)
    delete_items = _unary(item_calls.delete_items)
    write_interactions = _unary(interaction_calls.write_interactions)
    record_impressions = _unary(interaction_calls.record_impressions)
    import_interactions = _stream(interaction_calls.import_interactions)
    delete_user_data = _unary(interaction_calls.delete_user_data)
    catalog_stats = _unary(insight_calls.catalog_stats)
    get_exposure_report = _unary(insight_calls.get_exposure_report)
    get_item_popularity = _unary(insight_calls.get_item_popularity)
    server_info = _unary(admin_calls.server_info)
    rebuild_index = _unary(admin_calls.rebuild_index)
    get_operation = _unary(admin_calls.get_operation)
    create_snapshot = _unary(admin_calls.create_snapshot)
    list_snapshots = _unary(admin_calls.list_snapshots)
    verify_snapshot = _unary(admin_calls.verify_snapshot)

    def recommend_pages(
        self,
        query: str = "",
        *,
        limit: int | None = None,
        timeout: float | None = None,
        **options: Unpack[RecommendOptions],
    ) -> AsyncIterator[RecommendResponse]:
        """Yield page after page of one list, until its candidates are used up or `limit` pages.

        The arguments are those of `recommend`; `timeout` seconds are for each page.
        """
        first = recommendation_calls.recommend(query, timeout=timeout, **options)
        return self._transport.pages(
            lambda token: recommendation_calls.page_of(first, token),
            token=first.request.page_token,
            limit=limit,
        )

    async def list_items(
        self,
        *,
        page_size: int = 0,
        timeout: float | None = None,  # noqa: ASYNC109  # given to gRPC
    ) -> AsyncIterator[Item]:
        """Yield every item in the order of the ids; `timeout` seconds are for each page."""
        async for page in self._transport.pages(
            lambda token: item_calls.list_items_page(
                page_size=page_size, page_token=token, timeout=timeout
            )
        ):
            for item in page.items:
                yield item

    async def list_interactions(
        self,
        *,
        user_id: str = "",
        item_id: str = "",
        page_size: int = 0,
        timeout: float | None = None,  # noqa: ASYNC109  # given to gRPC
    ) -> AsyncIterator[Interaction]:
        """Yield the interactions of a person, of an item or of both together, the latest first.

        One of `user_id` and `item_id` must be given; `timeout` seconds are for each page.
        """
        async for page in self._transport.pages(
            lambda token: interaction_calls.list_interactions_page(
                user_id=user_id,
                item_id=item_id,
                page_size=page_size,
                page_token=token,
                timeout=timeout,
            )
        ):
            for interaction in page.interactions:
                yield interaction

    async def export_items(
        self,
        *,
        timeout: float = STREAM_SECONDS,  # noqa: ASYNC109  # given to gRPC
    ) -> AsyncIterator[Item]:
        """Yield the whole catalogue in the order of ids; `timeout` seconds are for all of it."""
        async for part in self._transport.receive(item_calls.export_items(timeout=timeout)):
            for item in part.items:
                yield item

    async def wait_for_operation(
        self,
        operation_id: str,
        *,
        timeout: float = WAIT_SECONDS,  # noqa: ASYNC109  # as in the blocking client
        progress: Callable[[Operation], None] | None = None,
    ) -> Operation:
        """Return an operation when it has succeeded; `progress` is told how far it is meanwhile.

        Raises LongtailError when it fails, or when the server stays away for a minute, and
        TimeoutError after `timeout` seconds. The operation itself goes on then.
        """
        wait = OperationWait(operation_id, timeout, progress)
        while True:
            try:
                answer = await self._transport.call(admin_calls.get_operation(operation_id))
            except LongtailError as error:
                wait.bear(error)
            else:
                if wait.has_ended(answer.operation):
                    return answer.operation
            await asyncio.sleep(POLL_SECONDS)

    async def wait_until_serving(
        self,
        *,
        timeout: float = 30.0,  # noqa: ASYNC109  # as in the blocking client
    ) -> None:
        """Return when the server says that it serves; TimeoutError after `timeout` seconds."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while loop.time() < deadline:
            if await self._transport.is_serving():
                return
            await asyncio.sleep(health.POLL_SECONDS)
        raise TimeoutError(f"{self.address} did not serve within {timeout:g} s")
