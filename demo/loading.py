"""Load a catalogue of the demo into a running server, once.

A marker beside the store says that the load was completed. From then on the store is the user's:
what they added, changed or removed is not touched again. Without the marker a load goes on where
it broke off, and writes only what is not there.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import grpc
from google.protobuf.message import Message
from google.rpc import code_pb2, status_pb2
from longtail.v1.insight_service_pb2 import GetCatalogStatsRequest, GetCatalogStatsResponse
from longtail.v1.interaction_service_pb2 import (
    Interaction,
    WriteInteractionsRequest,
    WriteInteractionsResponse,
)
from longtail.v1.item_pb2 import Item
from longtail.v1.item_service_pb2 import (
    BatchUpsertItemsRequest,
    BatchUpsertItemsResponse,
    ListItemsRequest,
    ListItemsResponse,
)
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from demo.catalogues import Catalogue

# As many as the slower encoder takes in a few seconds, also on a machine that is busy.
ITEM_BATCH = 128
INTERACTION_BATCH = 1000
LIST_PAGE = 1000
IN_FLIGHT = 2
RPC_SECONDS = 120.0
# Refusals that are shown.
NAMED = 3

# Every write here may be repeated, so a busy or restarting server is asked again.
_RETRIES = {
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.2s",
                "maxBackoff": "5s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
            },
        }
    ]
}

T = TypeVar("T")
Response = TypeVar("Response", bound=Message)


class LoadError(Exception):
    """The catalogue could not be loaded, or not all of it; the message says why."""


async def load(
    address: str, catalogue: Catalogue, dataset: Path, marker: Path, console: Console
) -> GetCatalogStatsResponse:
    """Bring `catalogue`, from the folder `dataset`, into the server at `address` unless it has it.

    What the server refuses is named on `console`, and the rest is loaded. Returns what the
    catalogue then holds. Raises LoadError, also when the server failed on a part of it, and what
    the catalogue's readers raise.
    """
    loaded = await asyncio.to_thread(marker.exists)
    options = [("grpc.service_config", json.dumps(_RETRIES))]
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        try:
            stats = await _stats(channel)
            # A marker over an empty store outlived the store it spoke of.
            if loaded and stats.item_count > 0:
                return stats
            await _write_missing(channel, catalogue, dataset, console)
            await asyncio.to_thread(_leave, marker)
            return await _stats(channel)
        except grpc.aio.AioRpcError as error:
            raise LoadError(f"{address}: {error.code().name}: {error.details()}") from error


async def _write_missing(
    channel: grpc.aio.Channel, catalogue: Catalogue, dataset: Path, console: Console
) -> None:
    present = await _item_ids(channel)
    items = [item for item in catalogue.read_items(dataset) if item.id not in present]
    interactions = catalogue.read_interactions(dataset)
    refused: list[tuple[str, status_pb2.Status]] = []
    columns = (TextColumn("{task.description:>7}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        items_written = progress.add_task(catalogue.items, total=len(items))
        interactions_written = progress.add_task(catalogue.interactions, total=len(interactions))

        async def write_items(batch: Sequence[Item]) -> None:
            request = BatchUpsertItemsRequest(items=batch)
            method = "ItemService/BatchUpsertItems"
            reply = await _call(channel, method, request, BatchUpsertItemsResponse)
            refused.extend(_refused([item.id for item in batch], reply.statuses))
            progress.advance(items_written, len(batch))

        async def write_interactions(batch: Sequence[Interaction]) -> None:
            request = WriteInteractionsRequest(interactions=batch)
            method = "InteractionService/WriteInteractions"
            reply = await _call(channel, method, request, WriteInteractionsResponse)
            refused.extend(
                _refused([interaction.event_id for interaction in batch], reply.statuses)
            )
            progress.advance(interactions_written, len(batch))

        await _write_all(_batches(items, ITEM_BATCH), write_items)
        await _write_all(_batches(interactions, INTERACTION_BATCH), write_interactions)
    if refused:
        named = ", ".join(f"{name} ({status.message})" for name, status in refused[:NAMED])
        message = f"{len(refused)} refused by the server, such as {named}"
        # What is wrong itself would be refused again; what the server failed on may not be.
        if any(status.code != code_pb2.INVALID_ARGUMENT for _, status in refused):
            raise LoadError(f"{message}; the rest is loaded: start again")
        console.print(message, markup=False)


async def _stats(channel: grpc.aio.Channel) -> GetCatalogStatsResponse:
    method = "InsightService/GetCatalogStats"
    return await _call(channel, method, GetCatalogStatsRequest(), GetCatalogStatsResponse)


async def _item_ids(channel: grpc.aio.Channel) -> set[str]:
    ids: set[str] = set()
    request = ListItemsRequest(page_size=LIST_PAGE)
    while True:
        page = await _call(channel, "ItemService/ListItems", request, ListItemsResponse)
        ids.update(item.id for item in page.items)
        if not page.next_page_token:
            return ids
        request.page_token = page.next_page_token


async def _call(
    channel: grpc.aio.Channel, method: str, request: Message, response: type[Response]
) -> Response:
    rpc: grpc.aio.UnaryUnaryMultiCallable[Message, Response] = channel.unary_unary(
        f"/longtail.v1.{method}", type(request).SerializeToString, response.FromString
    )
    return await rpc(request, timeout=RPC_SECONDS)


async def _write_all(batches: Iterator[T], write: Callable[[T], Awaitable[None]]) -> None:
    """Write every batch, with IN_FLIGHT of them on their way at a time."""

    async def sender() -> None:
        # The senders share one iterator: each takes the next batch when its last is acknowledged.
        for batch in batches:
            await write(batch)

    try:
        async with asyncio.TaskGroup() as senders:
            for _ in range(IN_FLIGHT):
                senders.create_task(sender())
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None


def _leave(marker: Path) -> None:
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.touch()


def _batches(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]


def _refused(
    names: Sequence[str], statuses: Sequence[status_pb2.Status]
) -> Iterator[tuple[str, status_pb2.Status]]:
    """Yield what of a batch was not written, and why."""
    for name, status in zip(names, statuses, strict=True):
        if status.code != code_pb2.OK:
            yield name, status
