"""The blocking client."""

import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Concatenate, ParamSpec, Self

from longtail.client.calls import (
    admin,
    health,
    insight,
    interactions,
    items,
    recommendations,
    reviews,
)
from longtail.client.calls.call import (
    AnsweredCall,
    Element,
    ListedCall,
    Page,
    PageRequest,
    Request,
    Response,
)
from longtail.client.calls.channel import Access, default_address
from longtail.client.calls.description import described_by
from longtail.client.calls.errors import LongtailError
from longtail.client.calls.operation_wait import POLL_SECONDS, WAIT_SECONDS, OperationWait
from longtail.client.calls.sync_transport import Transport
from longtail.v1.admin_service_pb2 import Operation

P = ParamSpec("P")


def _answered(
    build: Callable[P, AnsweredCall[Request, Response]],
) -> Callable[Concatenate["LongtailClient", P], Response]:
    @described_by(build)
    def method(self: "LongtailClient", /, *args: P.args, **kwargs: P.kwargs) -> Response:
        return self._transport.answer(build(*args, **kwargs))

    return method


def _listed(
    build: Callable[P, ListedCall[PageRequest, Page, Element, Request, Response]],
) -> Callable[Concatenate["LongtailClient", P], Iterator[Element]]:
    @described_by(build)
    def method(self: "LongtailClient", /, *args: P.args, **kwargs: P.kwargs) -> Iterator[Element]:
        return self._transport.elements(build(*args, **kwargs))

    return method


class LongtailClient:
    """Client of one server; safe to share between threads. Its calls raise LongtailError.

    `address` is host:port, by default `LONGTAIL_SERVER_ADDRESS` or 127.0.0.1:50051. `timeout` is
    the deadline in seconds of each call that is given none of its own, retries included. `access`
    is a key and certificates, by default those of the environment; raises OSError when there is
    no such file.
    """

    def __init__(
        self, address: str | None = None, *, timeout: float = 10.0, access: Access | None = None
    ) -> None:
        self.address = address or default_address()
        self._transport = Transport(self.address, timeout, access or Access.from_environment())

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
        self._transport.close()

    recommend = _answered(recommendations.recommend)
    recommend_pages = _listed(recommendations.recommend_pages)
    batch_recommend = _answered(recommendations.batch_recommend)
    compare_recommendations = _answered(recommendations.compare_recommendations)
    explain_item = _answered(recommendations.explain_item)
    get_item = _answered(items.get_item)
    get_items = _answered(items.get_items)
    list_items = _listed(items.list_items)
    export_items = _listed(items.export_items)
    upsert_items = _answered(items.upsert_items)
    update_item = _answered(items.update_item)
    import_items = _answered(items.import_items)
    delete_item = _answered(items.delete_item)
    delete_items = _answered(items.delete_items)
    write_interactions = _answered(interactions.write_interactions)
    record_impressions = _answered(interactions.record_impressions)
    import_interactions = _answered(interactions.import_interactions)
    list_interactions = _listed(interactions.list_interactions)
    delete_user_data = _answered(interactions.delete_user_data)
    list_review_queue = _listed(reviews.list_review_queue)
    decide_items = _answered(reviews.decide_items)
    list_decisions = _listed(reviews.list_decisions)
    catalog_stats = _answered(insight.catalog_stats)
    get_exposure_report = _answered(insight.get_exposure_report)
    get_item_popularity = _answered(insight.get_item_popularity)
    server_info = _answered(admin.server_info)
    rebuild_index = _answered(admin.rebuild_index)
    get_operation = _answered(admin.get_operation)
    create_snapshot = _answered(admin.create_snapshot)
    list_snapshots = _answered(admin.list_snapshots)
    verify_snapshot = _answered(admin.verify_snapshot)
    delete_snapshot = _answered(admin.delete_snapshot)
    create_vector_space = _answered(admin.create_vector_space)
    list_vector_spaces = _answered(admin.list_vector_spaces)
    delete_vector_space = _answered(admin.delete_vector_space)

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
                answer = self._transport.answer(admin.get_operation(operation_id))
            except LongtailError as error:
                wait.bear(error)
            else:
                if wait.has_ended(answer.operation):
                    return answer.operation
            time.sleep(POLL_SECONDS)

    def wait_until_serving(self, *, timeout: float = 30.0) -> None:
        """Return when the server says that it serves; TimeoutError after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self._transport.is_serving():
                return
            time.sleep(health.POLL_SECONDS)
        raise TimeoutError(f"{self.address} did not serve within {timeout:g} s")
