"""Writing and deleting items over gRPC: what is encoded, and what is written."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode
from longtail.runtime.errors import InferenceFailed, InvalidArgument, Violation
from longtail.v1 import embedding_service_pb2, item_pb2
from longtail.v1 import item_service_pb2 as pb

from tests.unit.server.written_catalogue import (
    FIRST,
    OWN,
    SECOND,
    WrittenCatalogue,
    batch,
    fields,
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


async def test_an_item_comes_back_as_it_was_written(written: WrittenCatalogue) -> None:
    given = item(
        "film",
        text="A text",
        popularity_prior=2.5,
        penalty=0.25,
        state=item_pb2.STATE_IN_REVIEW,
        available_from=Timestamp(seconds=5, nanos=7000),
        available_until=Timestamp(seconds=6),
    )
    given.attributes.update({"year": 1999, "tags": ["a", None, {"b": True}], "ratio": 0.5})
    reply = await written.items.BatchUpsertItems(batch(given))
    assert [status.code for status in reply.statuses] == [0]
    assert reply.revision == written.revision()
    stored = await get(written, "film")
    assert stored.create_time == stored.update_time != Timestamp()
    stored.ClearField("create_time")
    stored.ClearField("update_time")
    assert stored == given
    assert np.array_equal(written.vector("film"), vector_of("title of film. A text", FIRST))


async def test_a_refused_item_does_not_hold_back_the_others(written: WrittenCatalogue) -> None:
    reply = await written.items.BatchUpsertItems(batch(item("a"), item("b", title=""), item("c")))
    assert [status.code for status in reply.statuses] == [
        0,
        StatusCode.INVALID_ARGUMENT.value[0],
        0,
    ]
    assert fields(reply.statuses[1]) == ["items[1].text"]
    assert set(written.store.items.get(["a", "b", "c"])) == {"a", "c"}


async def test_what_the_encoder_does_not_take_is_refused_alone(written: WrittenCatalogue) -> None:
    written.encoder.refused = {
        "title of b": InvalidArgument(Violation("text", "cannot be encoded")),
        "title of d": InferenceFailed("the device failed"),
    }
    request = batch(
        *(item(item_id) for item_id in "abc"), item("x", title=""), item("d"), request_id="r"
    )
    reply = await written.items.BatchUpsertItems(request)
    invalid, internal = StatusCode.INVALID_ARGUMENT.value[0], StatusCode.INTERNAL.value[0]
    assert [status.code for status in reply.statuses] == [0, invalid, 0, invalid, internal]
    assert fields(reply.statuses[1]) == ["items[1].text"]
    assert fields(reply.statuses[3]) == ["items[3].text"]
    assert set(written.store.items.get(list("abcxd"))) == {"a", "c"}
    assert reply.revision == written.revision()
    # A repetition gets the same answer, another call another try.
    assert await written.items.BatchUpsertItems(request) == reply
    written.encoder.refused = {}
    request.request_id = "again"
    again = await written.items.BatchUpsertItems(request)
    assert [status.code == 0 for status in again.statuses] == [True, True, True, False, True]


async def test_an_item_stays_as_it_was_when_the_encoder_does_not_take_its_new_text(
    written: WrittenCatalogue,
) -> None:
    await written.items.BatchUpsertItems(batch(item("a")))
    written.encoder.refused["bad"] = InvalidArgument(Violation("text", "cannot be encoded"))
    reply = await written.items.BatchUpsertItems(batch(item("a", title="bad"), item("b")))
    assert [status.code == 0 for status in reply.statuses] == [False, True]
    update = pb.UpdateItemRequest(
        item=item_pb2.Item(id="a", title="bad"), update_mask=FieldMask(paths=["title"])
    )
    assert await refused(written.items.UpdateItem(update)) == (
        StatusCode.INVALID_ARGUMENT,
        ["item.text"],
    )
    assert (await get(written, "a")).title == "title of a"


async def test_an_item_without_a_vector_is_no_unchanged_one(written: WrittenCatalogue) -> None:
    await written.items.BatchUpsertItems(batch(item("a"), item("b")))
    written.drop_vector("a")
    written.encoder.calls.clear()
    await written.items.BatchUpsertItems(batch(item("a"), item("b")))
    assert written.encoder.texts == ["title of a"]
    assert np.array_equal(written.vector("a"), vector_of("title of a", FIRST))


async def test_a_batch_that_names_an_id_twice_changes_nothing(written: WrittenCatalogue) -> None:
    call = written.items.BatchUpsertItems(batch(item("a"), item("b"), item("a")))
    assert await refused(call) == (StatusCode.INVALID_ARGUMENT, ["items[2].id"])
    assert written.store.items.get(["a", "b"]) == {}


async def test_an_item_that_is_there_unchanged_is_not_written(written: WrittenCatalogue) -> None:
    own = item("own", vector=OWN)
    first = await written.items.BatchUpsertItems(batch(item("a"), own))
    again = await written.items.BatchUpsertItems(batch(item("a"), own))
    assert [status.code for status in again.statuses] == [0, 0]
    assert again.revision == first.revision == written.revision()
    assert written.encoder.texts == ["title of a"]


async def test_true_is_not_taken_for_one(written: WrittenCatalogue) -> None:
    one, true = item("a"), item("a")
    one.attributes.update({"new": 1})
    true.attributes.update({"new": True})
    await written.items.BatchUpsertItems(batch(one))
    await written.items.BatchUpsertItems(batch(true))
    assert (await get(written, "a")).attributes["new"] is True


async def test_an_unchanged_text_keeps_its_vector(written: WrittenCatalogue) -> None:
    first = await written.items.BatchUpsertItems(batch(item("a")))
    again = await written.items.BatchUpsertItems(batch(item("a", popularity_prior=7)))
    assert again.revision > first.revision
    assert (await get(written, "a")).popularity_prior == 7
    assert len(written.encoder.calls) == 1
    assert np.array_equal(written.vector("a"), vector_of("title of a", FIRST))


async def test_edits_are_encoded_before_batches(written: WrittenCatalogue) -> None:
    await written.items.BatchUpsertItems(batch(*(item(f"a{n}") for n in range(4))))
    await written.items.BatchUpsertItems(batch(*(item(f"b{n}") for n in range(5))))
    lanes = [lane for _, lane, _ in written.encoder.calls]
    assert lanes == [embedding_service_pb2.LANE_INTERACTIVE, embedding_service_pb2.LANE_BULK]


async def test_a_write_whose_caller_has_gone_is_finished(written: WrittenCatalogue) -> None:
    await written.items.BatchUpsertItems(batch(item("a")))
    loop, go = asyncio.get_running_loop(), asyncio.Event()
    held = written.commit.submit(
        lambda _tx: asyncio.run_coroutine_threadsafe(go.wait(), loop).result()
    )
    deleting = asyncio.create_task(
        written.catalogue.delete_items(["a"], lambda removed, revision: revision)
    )
    # One turn takes it into the queue, where it waits for the one that is held.
    await asyncio.sleep(0)
    deleting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await deleting
    go.set()
    await asyncio.wrap_future(held)
    await asyncio.wrap_future(written.commit.submit(lambda _tx: None))
    assert written.store.items.get(["a"]) == {}


async def test_a_write_during_a_switch_is_encoded_again(written: WrittenCatalogue) -> None:
    await written.items.BatchUpsertItems(batch(item("a")))
    await written.switch_encoder(SECOND)
    await written.items.BatchUpsertItems(batch(item("b")))
    assert [binding for _, _, binding in written.encoder.calls[-2:]] == ["first@1", "second@1"]
    assert np.array_equal(written.vector("b"), vector_of("title of b", SECOND))


async def test_an_item_is_deleted_once(written: WrittenCatalogue) -> None:
    await written.items.BatchUpsertItems(batch(item("a")))
    request = pb.DeleteItemRequest(id="a", request_id="r")
    first = await written.items.DeleteItem(request)
    assert first.revision == written.revision()
    assert await written.items.DeleteItem(request) == first
    call = written.items.DeleteItem(pb.DeleteItemRequest(id="a"))
    assert (await refused(call))[0] is StatusCode.NOT_FOUND


async def test_several_are_deleted_at_once(written: WrittenCatalogue) -> None:
    await written.items.BatchUpsertItems(batch(item("a"), item("b"), item("c")))
    request = pb.BatchDeleteItemsRequest(ids=["a", "none", "c"], request_id="r")
    first = await written.items.BatchDeleteItems(request)
    assert [status.code for status in first.statuses] == [0, StatusCode.NOT_FOUND.value[0], 0]
    assert set(written.store.items.get(["a", "b", "c"])) == {"b"}
    assert await written.items.BatchDeleteItems(request) == first


@pytest.mark.parametrize(
    ("ids", "field"),
    [([], "ids"), (["a"] * 1001, "ids"), (["a", "b", "a"], "ids[2]"), (["a", ""], "ids[1]")],
)
async def test_a_wrong_deletion_changes_nothing(
    written: WrittenCatalogue, ids: list[str], field: str
) -> None:
    await written.items.BatchUpsertItems(batch(item("a"), item("b")))
    call = written.items.BatchDeleteItems(pb.BatchDeleteItemsRequest(ids=ids))
    assert await refused(call) == (StatusCode.INVALID_ARGUMENT, [field])
    assert set(written.store.items.get(["a", "b"])) == {"a", "b"}
