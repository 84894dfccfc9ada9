"""Updates of items over gRPC: masks, vectors, and others who write at the same time."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from grpc import StatusCode
from longtail.server.store.records import EncoderBinding, NewItem
from longtail.v1 import item_pb2
from longtail.v1 import item_service_pb2 as pb

from tests.unit.server.written_catalogue import (
    FIRST,
    OWN,
    WrittenCatalogue,
    batch,
    get,
    item,
    refused,
    vector_of,
    written_catalogue,
)


@pytest.fixture
async def written(tmp_path: Path) -> AsyncIterator[WrittenCatalogue]:
    async with written_catalogue(tmp_path) as opened:
        yield opened


def update(
    changed: item_pb2.Item, *paths: str, allow_missing: bool = False, request_id: str = ""
) -> pb.UpdateItemRequest:
    return pb.UpdateItemRequest(
        item=changed,
        update_mask=FieldMask(paths=paths),
        allow_missing=allow_missing,
        request_id=request_id,
    )


async def test_vectors_for_the_encoder_before_are_not_taken(written: WrittenCatalogue) -> None:
    await written.switch_encoder(EncoderBinding("other@1", 4))
    for call in (
        written.items.BatchUpsertItems(batch(item("a", vector=OWN))),
        written.items.UpdateItem(update(item("b", vector=OWN), "vector", allow_missing=True)),
    ):
        assert (await refused(call))[0] is StatusCode.ABORTED
    assert written.store.items.get(["a", "b"]) == {}


async def test_an_update_changes_what_its_mask_names(written: WrittenCatalogue) -> None:
    present = item(
        "a", text="A text", popularity_prior=3, state=item_pb2.STATE_HIDDEN, penalty=0.25
    )
    present.attributes.update({"year": 1999, "old": True, "kept": "k"})
    await written.items.BatchUpsertItems(batch(present))
    changed = item_pb2.Item(id="a", title="not named", text="Another", penalty=0.75)
    changed.attributes.update({"year": 2000, "other": 1})
    reply = await written.items.UpdateItem(
        update(changed, "text", "attributes.year", "attributes.old", "popularity_prior")
    )
    assert reply.item == await get(written, "a")
    assert reply.revision == written.revision()
    assert (reply.item.title, reply.item.text) == ("title of a", "Another")
    assert (reply.item.popularity_prior, reply.item.state) == (0, item_pb2.STATE_HIDDEN)
    assert reply.item.penalty == 0.25
    assert dict(reply.item.attributes) == {"year": 2000, "kept": "k"}
    assert written.encoder.texts == ["title of a. A text", "title of a. Another"]


async def test_a_penalty_is_changed_and_taken_away(written: WrittenCatalogue) -> None:
    await written.items.BatchUpsertItems(batch(item("a", penalty=0.25)))
    await written.items.UpdateItem(update(item_pb2.Item(id="a", penalty=1), "penalty"))
    assert await get(written, "a") == (await export(written))[0]
    assert (await get(written, "a")).penalty == 1
    (change,) = written.store.changes.current()
    assert change.penalty == 1
    await written.items.UpdateItem(update(item_pb2.Item(id="a"), "penalty"))
    assert (await get(written, "a")).penalty == 0
    wrong = written.items.UpdateItem(update(item_pb2.Item(id="a", penalty=2), "penalty"))
    assert await refused(wrong) == (StatusCode.INVALID_ARGUMENT, ["item.penalty"])


async def export(written: WrittenCatalogue) -> list[item_pb2.Item]:
    pages = written.items.ExportItems(pb.ExportItemsRequest())
    return [found async for page in pages for found in page.items]


async def test_an_update_beside_the_text_encodes_nothing(written: WrittenCatalogue) -> None:
    await written.items.BatchUpsertItems(batch(item("a")))
    await written.items.UpdateItem(update(item("a", state=item_pb2.STATE_HIDDEN), "state"))
    assert len(written.encoder.calls) == 1
    assert (await get(written, "a")).state == item_pb2.STATE_HIDDEN


async def test_a_vector_of_the_callers_own_stays_until_it_is_cleared(
    written: WrittenCatalogue,
) -> None:
    await written.items.UpdateItem(update(item("a", vector=OWN), "vector", allow_missing=True))
    await written.items.UpdateItem(update(item("a"), "title"))
    assert written.encoder.calls == []
    assert written.vector("a").tolist() == [0, 0, 0, 1]
    await written.items.UpdateItem(update(item("a"), "vector"))
    assert np.array_equal(written.vector("a"), vector_of("title of a", FIRST))


async def test_the_last_of_text_and_vector_cannot_be_cleared(written: WrittenCatalogue) -> None:
    await written.items.BatchUpsertItems(batch(item("a")))
    call = written.items.UpdateItem(update(item_pb2.Item(id="a"), "title"))
    assert await refused(call) == (StatusCode.INVALID_ARGUMENT, ["item.text"])


@pytest.mark.parametrize("path", ["id", "create_time", "nothing", "attributes.", "title.x", ""])
async def test_a_wrong_path_is_named(written: WrittenCatalogue, path: str) -> None:
    call = written.items.UpdateItem(update(item("a"), "title", path))
    assert await refused(call) == (StatusCode.INVALID_ARGUMENT, ["update_mask.paths[1]"])


async def test_an_update_without_mask_is_refused(written: WrittenCatalogue) -> None:
    call = written.items.UpdateItem(update(item("a")))
    assert await refused(call) == (StatusCode.INVALID_ARGUMENT, ["update_mask"])


async def test_an_update_of_what_is_not_there(written: WrittenCatalogue) -> None:
    call = written.items.UpdateItem(update(item("a"), "title"))
    assert (await refused(call))[0] is StatusCode.NOT_FOUND
    reply = await written.items.UpdateItem(update(item("a"), "title", allow_missing=True))
    assert reply.item == await get(written, "a")


async def test_an_update_loses_nothing_of_another(written: WrittenCatalogue) -> None:
    await written.items.BatchUpsertItems(batch(item("a")))
    written.encoder.go.clear()
    retitled = asyncio.create_task(_update(written, update(item("a", title="Another"), "title")))
    await written.encoder.called(2)
    await written.items.UpdateItem(update(item("a", popularity_prior=9), "popularity_prior"))
    written.encoder.go.set()
    reply = await retitled
    assert (reply.item.title, reply.item.popularity_prior) == ("Another", 9)


async def test_an_update_that_always_comes_too_late_gives_up(written: WrittenCatalogue) -> None:
    await written.items.BatchUpsertItems(batch(item("a")))
    new = [NewItem(written.store.items.get(["a"])["a"].content, written.vector("a"), False)]

    async def overtake() -> None:
        write = written.commit.submit(
            lambda tx: written.store.items.upsert(tx, new, written.bound.id)
        )
        await asyncio.wrap_future(write)

    written.encoder.meanwhile = overtake
    call = written.items.UpdateItem(update(item("a", title="Another"), "title"))
    assert (await refused(call))[0] is StatusCode.ABORTED
    assert (await get(written, "a")).title == "title of a"


async def _update(
    written: WrittenCatalogue, request: pb.UpdateItemRequest
) -> pb.UpdateItemResponse:
    reply: pb.UpdateItemResponse = await written.items.UpdateItem(request)
    return reply


async def test_a_repeated_update_gets_the_first_answer(written: WrittenCatalogue) -> None:
    request = update(item("a"), "title", allow_missing=True, request_id="r")
    first = await written.items.UpdateItem(request)
    await written.items.UpdateItem(update(item("a", title="Later"), "title"))
    assert await written.items.UpdateItem(request) == first
    assert (await get(written, "a")).title == "Later"
