"""Writes with a request_id over gRPC, sent again."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from grpc import StatusCode
from longtail.runtime.errors import Unavailable
from longtail.v1 import item_service_pb2 as pb

from tests.unit.server.written_catalogue import (
    WrittenCatalogue,
    batch,
    item,
    refused,
    written_catalogue,
)


@pytest.fixture
async def written(tmp_path: Path) -> AsyncIterator[WrittenCatalogue]:
    async with written_catalogue(tmp_path) as opened:
        yield opened


async def test_a_repeated_request_is_done_once(written: WrittenCatalogue) -> None:
    request = batch(item("a"), item("b", title=""), request_id="r")
    first = await written.items.BatchUpsertItems(request)
    await written.items.DeleteItem(pb.DeleteItemRequest(id="a"))
    assert await written.items.BatchUpsertItems(request) == first
    assert written.store.items.get(["a"]) == {}
    assert len(written.encoder.calls) == 1


async def test_a_request_that_comes_twice_at_once_is_done_once(written: WrittenCatalogue) -> None:
    request = batch(item("a"), request_id="r")
    first, second = await asyncio.gather(
        written.items.BatchUpsertItems(request), written.items.BatchUpsertItems(request)
    )
    assert first == second
    assert first.revision == written.revision()


async def test_a_request_id_with_another_request_is_refused(written: WrittenCatalogue) -> None:
    await written.items.BatchUpsertItems(batch(item("a"), request_id="r"))
    for call in (
        written.items.BatchUpsertItems(batch(item("b"), request_id="r")),
        written.items.DeleteItem(pb.DeleteItemRequest(id="a", request_id="r")),
    ):
        assert await refused(call) == (StatusCode.INVALID_ARGUMENT, ["request_id"])
    assert set(written.store.items.get(["a", "b"])) == {"a"}


async def test_a_request_is_forgotten_after_a_day(
    written: WrittenCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = pb.DeleteItemRequest(id="a", request_id="r")
    await written.items.BatchUpsertItems(batch(item("a"), item("b")))
    first = await written.items.DeleteItem(request)
    began = time.time_ns()
    for hours in (23, 25):
        monkeypatch.setattr(time, "time_ns", lambda hours=hours: began + hours * 3600 * 10**9)
        await written.items.BatchUpsertItems(batch(item("a"), request_id=f"{hours}"))
        reply = await written.items.DeleteItem(request)
        assert (reply == first, "a" in written.store.items.get(["a"])) == (hours < 24, hours < 24)


async def test_a_request_is_remembered_though_the_clock_is_set_back(
    written: WrittenCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = batch(item("a"), request_id="r")
    first = await written.items.BatchUpsertItems(request)
    back = time.time_ns() - 30 * 24 * 3600 * 10**9
    monkeypatch.setattr(time, "time_ns", lambda: back)
    await written.items.BatchUpsertItems(batch(item("b"), request_id="s"))
    await written.items.DeleteItem(pb.DeleteItemRequest(id="a"))
    assert await written.items.BatchUpsertItems(request) == first
    assert written.store.items.get(["a"]) == {}


async def test_a_failed_request_is_not_remembered(written: WrittenCatalogue) -> None:
    written.encoder.failures["title of a"] = Unavailable("no encoder")
    request = batch(item("a"), request_id="r")
    assert (await refused(written.items.BatchUpsertItems(request)))[0] is StatusCode.UNAVAILABLE
    written.encoder.failures.clear()
    await written.items.BatchUpsertItems(request)
    assert set(written.store.items.get(["a"])) == {"a"}
