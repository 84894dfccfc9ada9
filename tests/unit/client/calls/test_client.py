"""The sync and the asyncio client against real gRPC: the surface and what it does."""

import inspect
import struct
import subprocess
import sys
from collections.abc import Callable

import pytest
from longtail.client import (
    AsyncLongtailClient,
    LongtailClient,
    LongtailError,
    example,
    filter_of,
    named_vectors,
    where,
)
from longtail.client.calls import admin, insight, interactions, items, recommendations
from longtail.client.calls.call import Call, ClientStreamCall, ServerStreamCall, path
from longtail.client.calls.messages import pack_vector
from longtail.v1 import (
    admin_service_pb2,
    insight_service_pb2,
    interaction_service_pb2,
    item_service_pb2,
    recommendation_service_pb2,
)
from longtail.v1.item_pb2 import Item
from longtail.v1.recommendation_service_pb2 import RecommendRequest

from tests.processes import free_address
from tests.unit.client.fake_server import Fake

FILES = (
    admin_service_pb2,
    insight_service_pb2,
    interaction_service_pb2,
    item_service_pb2,
    recommendation_service_pb2,
)


def test_recommend_says_all_that_was_asked(fake: Fake) -> None:
    with LongtailClient(fake.address) as client:
        response = client.recommend(
            "space opera",
            user_id="u",
            examples=[example(item_id="7", weight=-1), example(vector=[1.0, 0.5])],
            page_size=5,
            strength=0.0,
            filter=filter_of(all_of=[where("year").equals(1999)]),
            exclude=["8"],
            explain="reasons",
        )

    (request,) = fake.requests
    assert isinstance(request, RecommendRequest)
    assert response.results[0].title == "[bold]One"
    assert (request.query, request.user_id, request.page_size) == ("space opera", "u", 5)
    assert request.examples[0].weight == -1
    assert request.examples[1].vector == struct.pack("<2f", 1.0, 0.5)
    assert request.long_tail.HasField("strength")
    assert not request.long_tail.HasField("relevance_budget")
    assert list(request.exclude.item_ids) == ["8"]
    assert request.filter.all_of[0].equals.number == 1999
    assert request.explain == recommendation_service_pb2.EXPLAIN_REASONS


async def test_asyncio_asks_the_same(fake: Fake) -> None:
    with LongtailClient(fake.address) as client:
        client.explain_item("7", "space opera", strength=0.5)
    async with AsyncLongtailClient(fake.address) as asynchronous:
        await asynchronous.explain_item("7", "space opera", strength=0.5)

    assert fake.requests[0] == fake.requests[1]


def test_both_clients_have_the_same_surface() -> None:
    def surface(client: type[object]) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(method).parameters)
            for name, method in inspect.getmembers(client, callable)
            if not name.startswith("_")
        }

    assert surface(LongtailClient) == surface(AsyncLongtailClient)


def test_a_method_is_described_as_it_is_called() -> None:
    with LongtailClient("127.0.0.1:1") as client:
        assert str(inspect.signature(client.get_item)) == (
            "(item_id: str, *, timeout: float | None = None)"
        )
        assert list(inspect.signature(client.list_items).parameters) == ["page_size", "timeout"]
        assert client.get_item.__doc__ == items.get_item.__doc__
        assert inspect.iscoroutinefunction(AsyncLongtailClient.get_item)


@pytest.mark.parametrize(
    "call",
    [
        recommendations.recommend(),
        recommendations.explain_item("1"),
        items.get_item("1"),
        items.list_items().first,
        items.get_items([]),
        items.update_item(Item(), []),
        items.delete_items([]),
        items.export_items(),
        interactions.list_interactions().first,
        admin.rebuild_index(),
        admin.get_operation("1"),
        admin.create_snapshot(),
        admin.list_snapshots(),
        admin.verify_snapshot("1"),
        admin.delete_snapshot("1"),
        items.upsert_items([]),
        items.import_items([]),
        items.delete_item("1"),
        interactions.write_interactions([]),
        interactions.import_interactions([]),
        interactions.delete_user_data("1"),
        recommendations.batch_recommend([]),
        recommendations.compare_recommendations(policies={}),
        interactions.record_impressions("token", []),
        insight.catalog_stats(),
        insight.get_exposure_report(),
        insight.get_item_popularity("1"),
        admin.server_info(),
    ],
    ids=lambda call: path(call.request).rpartition("/")[2],
)
def test_every_call_is_one_of_the_contract(
    call: Call[RecommendRequest, Item]
    | ClientStreamCall[RecommendRequest, Item]
    | ServerStreamCall[RecommendRequest, Item, Item],
) -> None:
    method = {
        f"/{service.full_name}/{method.name}": method
        for file in FILES
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }[path(call.request)]

    assert method.output_type == call.response.DESCRIPTOR
    assert method.client_streaming == isinstance(call, ClientStreamCall)
    assert method.server_streaming == isinstance(call, ServerStreamCall)
    assert method.input_type == call.request.DESCRIPTOR


async def test_items_are_listed_over_pages(fake: Fake) -> None:
    fake.items = {f"{number:02}": Item(id=f"{number:02}") for number in range(7)}
    with LongtailClient(fake.address) as client:
        listed = [item.id for item in client.list_items(page_size=3)]
    async with AsyncLongtailClient(fake.address) as asynchronous:
        awaited = [item.id async for item in asynchronous.list_items(page_size=3)]

    assert listed == awaited == sorted(fake.items)
    assert len(fake.requests) == 6


async def test_the_catalogue_is_exported_as_one_stream(fake: Fake) -> None:
    fake.items = {f"{number:02}": Item(id=f"{number:02}") for number in range(7)}
    with LongtailClient(fake.address) as client:
        exported = [item.id for item in client.export_items()]
    async with AsyncLongtailClient(fake.address) as asynchronous:
        awaited = [item.id async for item in asynchronous.export_items()]

    assert exported == awaited == sorted(fake.items)


async def test_an_operation_is_waited_for(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("longtail.client.calls.sync.POLL_SECONDS", 0.0)
    monkeypatch.setattr("longtail.client.calls.aio.POLL_SECONDS", 0.0)
    seen: list[int] = []
    with LongtailClient(fake.address) as client:
        started = client.create_snapshot().operation
        done = client.wait_for_operation(
            started.id, progress=lambda operation: seen.append(operation.done_count)
        )
        assert done.snapshot_id == "s1"
        fake.polls = 0
        with pytest.raises(TimeoutError, match=started.id):
            client.wait_for_operation(started.id, timeout=-1.0)
        with pytest.raises(LongtailError, match="flipped"):
            client.wait_for_operation(client.verify_snapshot("broken").operation.id)
    async with AsyncLongtailClient(fake.address) as asynchronous:
        fake.polls = 0
        assert await asynchronous.wait_for_operation(started.id) == done

    assert seen == [1, 2, 3]


async def test_imports_are_streams_of_batches(fake: Fake) -> None:
    with LongtailClient(fake.address) as client:
        assert client.import_items(Item(id=str(n)) for n in range(600)).imported_count == 600
    async with AsyncLongtailClient(fake.address) as asynchronous:
        response = await asynchronous.import_items(Item(id=str(n)) for n in range(600))

    assert response.imported_count == 600
    assert len(fake.requests) == 6


def test_a_stream_has_no_message_that_is_too_large(fake: Fake) -> None:
    large = named_vectors({"image": [1.0] * 4096, "sound": [1.0] * 4096})
    with LongtailClient(fake.address) as client:
        items = (Item(id=str(n), extra_vectors=large) for n in range(300))
        assert client.import_items(items).imported_count == 300
    assert len(fake.requests) > 2
    assert max(request.ByteSize() for request in fake.requests) < 4.1 * 2**20


async def test_waiting_for_nobody_ends() -> None:
    address = free_address()
    with LongtailClient(address) as client, pytest.raises(TimeoutError, match=address):
        client.wait_until_serving(timeout=0.3)
    async with AsyncLongtailClient(address) as asynchronous:
        with pytest.raises(TimeoutError, match=address):
            await asynchronous.wait_until_serving(timeout=0.3)


def test_the_address_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGTAIL_SERVER_ADDRESS", "127.0.0.1:1234")
    with LongtailClient() as client:
        assert client.address == "127.0.0.1:1234"


@pytest.mark.parametrize(
    "build", [lambda: example(), lambda: example(item_id="1", text="one")], ids=["none", "two"]
)
def test_an_example_is_exactly_one_thing(build: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match="exactly one"):
        build()


def test_a_packed_vector_is_left_as_it_is() -> None:
    assert pack_vector(b"\x00\x00\x80\x3f") == b"\x00\x00\x80\x3f"


def test_the_library_needs_nothing_of_the_command_line_or_the_server() -> None:
    absent = ("typer", "rich", "pyarrow", "numpy", "grpc_status", "grpc_health")
    code = f"import sys; sys.modules.update(dict.fromkeys({absent})); import longtail.client"
    subprocess.run([sys.executable, "-c", code], check=True)
