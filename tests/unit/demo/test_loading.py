from collections.abc import AsyncIterator
from io import StringIO
from pathlib import Path

import grpc
import pytest
from google.rpc import code_pb2, status_pb2
from longtail.v1.insight_service_pb2 import GetCatalogStatsRequest, GetCatalogStatsResponse
from longtail.v1.insight_service_pb2_grpc import (
    InsightServiceServicer,
    add_InsightServiceServicer_to_server,
)
from longtail.v1.interaction_service_pb2 import WriteInteractionsRequest, WriteInteractionsResponse
from longtail.v1.interaction_service_pb2_grpc import (
    InteractionServiceServicer,
    add_InteractionServiceServicer_to_server,
)
from longtail.v1.item_pb2 import Item
from longtail.v1.item_service_pb2 import (
    BatchUpsertItemsRequest,
    BatchUpsertItemsResponse,
    ListItemsRequest,
    ListItemsResponse,
)
from longtail.v1.item_service_pb2_grpc import (
    ItemServiceServicer,
    add_ItemServiceServicer_to_server,
)
from rich.console import Console

from demo.catalogues import FILMS
from demo.loading import LoadError, load
from tests.processes import free_address

FILM_COUNT, RATING_COUNT = 600, 2500
CONSOLE = Console(file=StringIO())


class Store(InsightServiceServicer, ItemServiceServicer, InteractionServiceServicer):
    """What a server keeps, in dictionaries; it lists items three to a page and logs its writes."""

    def __init__(self) -> None:
        self.items: dict[str, Item] = {}
        self.events: set[str] = set()
        self.writes: list[int] = []
        self.refused = ""
        self.code = code_pb2.INVALID_ARGUMENT

    async def GetCatalogStats(  # noqa: N802
        self, request: GetCatalogStatsRequest, context: object
    ) -> GetCatalogStatsResponse:
        counts = len(self.items), len(self.events)
        return GetCatalogStatsResponse(item_count=counts[0], interaction_count=counts[1])

    async def ListItems(  # noqa: N802
        self, request: ListItemsRequest, context: object
    ) -> ListItemsResponse:
        page = sorted(item for item in self.items if item > request.page_token)[:3]
        token = page[-1] if len(page) == 3 else ""
        return ListItemsResponse(items=[self.items[i] for i in page], next_page_token=token)

    async def BatchUpsertItems(  # noqa: N802
        self, request: BatchUpsertItemsRequest, context: object
    ) -> BatchUpsertItemsResponse:
        self.writes.append(len(request.items))
        statuses = []
        for item in request.items:
            if item.id == self.refused:
                message = "title: is not liked"
                statuses.append(status_pb2.Status(code=self.code, message=message))
            else:
                self.items[item.id] = item
                statuses.append(status_pb2.Status())
        return BatchUpsertItemsResponse(statuses=statuses)

    async def WriteInteractions(  # noqa: N802
        self, request: WriteInteractionsRequest, context: object
    ) -> WriteInteractionsResponse:
        self.writes.append(len(request.interactions))
        self.events.update(interaction.event_id for interaction in request.interactions)
        return WriteInteractionsResponse(statuses=[status_pb2.Status()] * len(request.interactions))


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
async def address(store: Store) -> AsyncIterator[str]:
    server = grpc.aio.server()
    add_InsightServiceServicer_to_server(store, server)
    add_ItemServiceServicer_to_server(store, server)
    add_InteractionServiceServicer_to_server(store, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    films = [f"{number}\tFilm {number}\t1990\tDrama" for number in range(FILM_COUNT)]
    ratings = [f"{number}\t{number % FILM_COUNT}\t4\t880000000" for number in range(RATING_COUNT)]
    films.insert(0, "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq")
    ratings.insert(0, "user_id:token\titem_id:token\trating:float\ttimestamp:float")
    (tmp_path / "ml-100k.item").write_text("\n".join(films))
    (tmp_path / "ml-100k.inter").write_text("\n".join(ratings))
    return tmp_path


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "data" / "loaded"


async def test_an_empty_store_gets_everything_in_batches(
    store: Store, address: str, dataset: Path, marker: Path
) -> None:
    stats = await load(address, FILMS, dataset, marker, CONSOLE)
    assert (stats.item_count, stats.interaction_count) == (FILM_COUNT, RATING_COUNT)
    assert store.writes == [128, 128, 128, 128, 88, 1000, 1000, 500]
    assert marker.exists()


async def test_a_loaded_store_is_the_users(
    store: Store, address: str, dataset: Path, marker: Path
) -> None:
    await load(address, FILMS, dataset, marker, CONSOLE)
    store.writes.clear()
    del store.items["1"]
    store.events.clear()
    stats = await load(address, FILMS, dataset, marker, CONSOLE)
    assert (store.writes, stats.item_count) == ([], FILM_COUNT - 1)


async def test_an_interrupted_load_writes_what_is_missing(
    store: Store, address: str, dataset: Path, marker: Path
) -> None:
    present = {item_id: Item(id=item_id, title="Changed") for item_id in ("mine", "1", "2", "3")}
    store.items.update(present)
    await load(address, FILMS, dataset, marker, CONSOLE)
    assert len(store.items) == FILM_COUNT + 1
    assert {item_id: store.items[item_id] for item_id in present} == present


async def test_a_marker_without_its_store_does_not_count(
    store: Store, address: str, dataset: Path, marker: Path
) -> None:
    await load(address, FILMS, dataset, marker, CONSOLE)
    store.items.clear()
    stats = await load(address, FILMS, dataset, marker, CONSOLE)
    assert stats.item_count == FILM_COUNT


async def test_a_refusal_is_named_and_the_rest_is_loaded(
    store: Store, address: str, dataset: Path, marker: Path
) -> None:
    store.refused = "7"
    console = Console(file=(shown := StringIO()), width=200)
    stats = await load(address, FILMS, dataset, marker, console)
    assert (stats.item_count, stats.interaction_count) == (FILM_COUNT - 1, RATING_COUNT)
    assert "1 refused by the server, such as 7 (title: is not liked)" in shown.getvalue()
    assert marker.exists()


async def test_what_the_server_failed_on_is_tried_again_when_the_rest_is_loaded(
    store: Store, address: str, dataset: Path, marker: Path
) -> None:
    store.refused, store.code = "7", code_pb2.INTERNAL
    with pytest.raises(LoadError, match=r"1 refused by the server, such as 7 .*start again"):
        await load(address, FILMS, dataset, marker, CONSOLE)
    assert (len(store.items), len(store.events)) == (FILM_COUNT - 1, RATING_COUNT)
    assert not marker.exists()
    store.refused = ""
    stats = await load(address, FILMS, dataset, marker, CONSOLE)
    assert stats.item_count == FILM_COUNT


async def test_a_server_that_cannot_be_reached_is_named(dataset: Path, marker: Path) -> None:
    address = free_address()
    with pytest.raises(LoadError, match=f"{address}: UNAVAILABLE"):
        await load(address, FILMS, dataset, marker, CONSOLE)
