"""Imports, exports and lists of items over gRPC."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import numpy as np
import pytest
from grpc import StatusCode
from longtail.runtime.errors import InvalidArgument, Overloaded, Unavailable, Violation
from longtail.server.rpc.tokens.page import encode_token
from longtail.v1 import item_pb2
from longtail.v1 import item_service_pb2 as pb

from tests.unit.server.written_catalogue import (
    OWN,
    WrittenCatalogue,
    fields,
    item,
    refused,
    written_catalogue,
)


@pytest.fixture
async def written(tmp_path: Path) -> AsyncIterator[WrittenCatalogue]:
    async with written_catalogue(tmp_path) as opened:
        yield opened


def stream(*batches: list[item_pb2.Item]) -> Iterator[pb.ImportItemsRequest]:
    return iter([pb.ImportItemsRequest(items=items) for items in batches])


async def fill(written: WrittenCatalogue, count: int, **values: object) -> None:
    for start in range(0, count, 40):
        items = [item(f"{n:04}", **values) for n in range(start, min(start + 40, count))]
        await written.items.BatchUpsertItems(pb.BatchUpsertItemsRequest(items=items))


async def test_an_import_counts_what_it_wrote_and_refused(written: WrittenCatalogue) -> None:
    batches = [item("a"), item("b", title="")], [item("c"), item("")]
    reply = await written.items.ImportItems(stream(*batches))
    assert (reply.imported_count, reply.refused_count) == (2, 2)
    assert [(refusal.position, refusal.id) for refusal in reply.refusals] == [(1, "b"), (3, "")]
    assert fields(reply.refusals[1].status) == ["items[1].id"]
    assert reply.revision == written.revision()


async def test_an_import_goes_on_after_a_text_that_the_encoder_does_not_take(
    written: WrittenCatalogue,
) -> None:
    written.encoder.refused["title of a"] = InvalidArgument(Violation("text", "is no text"))
    batches = [item("x", title=""), item("a"), item("b"), item("")], [item("c")]
    reply = await written.items.ImportItems(stream(*batches))
    assert (reply.imported_count, reply.refused_count) == (2, 3)
    assert [(refusal.position, refusal.id) for refusal in reply.refusals] == [
        (0, "x"),
        (1, "a"),
        (3, ""),
    ]
    assert fields(reply.refusals[1].status) == ["items[1].text"]
    assert set(written.store.items.get(list("abc"))) == {"b", "c"}


async def test_a_later_batch_replaces_an_earlier_one(written: WrittenCatalogue) -> None:
    await fill(written, 1)
    written.encoder.go.clear()
    batches = [item("0000", title="Another")], [item("0000")], [item("last")]
    importing = asyncio.create_task(_import(written, stream(*batches)))
    await written.encoder.called(3)
    await asyncio.sleep(0.05)
    # The second was as it is in the store when it was read, and has to be written all the same.
    written.encoder.go.set()
    await importing
    assert written.store.items.get(["0000"])["0000"].content.title == "title of 0000"


async def test_batches_are_encoded_ahead_but_not_without_bound(written: WrittenCatalogue) -> None:
    written.encoder.go.clear()
    importing = asyncio.create_task(_import(written, stream(*([item(f"{n}")] for n in range(9)))))
    await written.encoder.called(4)
    await asyncio.sleep(0.1)
    assert len(written.encoder.calls) == 4
    written.encoder.go.set()
    assert (await importing).imported_count == 9


async def _import(
    written: WrittenCatalogue, batches: Iterator[pb.ImportItemsRequest]
) -> pb.ImportItemsResponse:
    reply: pb.ImportItemsResponse = await written.items.ImportItems(batches)
    return reply


async def test_a_batch_that_fails_stops_the_import_after_those_before_it(
    written: WrittenCatalogue,
) -> None:
    written.encoder.failures["title of c"] = Unavailable("no encoder")
    call = written.items.ImportItems(stream(*([item(name)] for name in "abcde")))
    assert (await refused(call))[0] is StatusCode.UNAVAILABLE
    assert set(written.store.items.get(list("abcde"))) == {"a", "b"}


async def test_an_import_waits_for_an_encoder_that_is_overloaded(
    written: WrittenCatalogue,
) -> None:
    written.encoder.failures["title of b"] = Overloaded("too much", retry_seconds=0.001)
    importing = asyncio.create_task(_import(written, stream(*([item(name)] for name in "abc"))))
    await written.encoder.called(6)
    written.encoder.failures.clear()
    assert (await importing).imported_count == 3


async def test_a_batch_that_is_refused_stops_the_import_too(written: WrittenCatalogue) -> None:
    call = written.items.ImportItems(stream([item("a")], [], [item("c")]))
    assert await refused(call) == (StatusCode.INVALID_ARGUMENT, ["items"])
    assert set(written.store.items.get(["a", "c"])) == {"a"}


async def test_an_import_that_is_repeated_encodes_and_writes_nothing(
    written: WrittenCatalogue,
) -> None:
    batches = [item("a"), item("b")], [item("c")]
    first = await written.items.ImportItems(stream(*batches))
    encoded = len(written.encoder.calls)
    again = await written.items.ImportItems(stream(*batches))
    assert (again.imported_count, again.revision) == (3, first.revision)
    assert len(written.encoder.calls) == encoded


async def test_an_export_holds_the_whole_catalogue_in_order(written: WrittenCatalogue) -> None:
    await fill(written, 1234)
    pages = [page.items async for page in written.items.ExportItems(pb.ExportItemsRequest())]
    assert [len(page) for page in pages] == [500, 500, 234]
    assert [exported.id for page in pages for exported in page] == [f"{n:04}" for n in range(1234)]
    assert pages[0][0].title == "title of 0000"


async def test_an_export_that_is_imported_again_changes_nothing(written: WrittenCatalogue) -> None:
    odd = np.array([0.1, 0.2, 0.3, 0.4], "<f4").tobytes()
    own = [item("own", title="", vector=odd), item("both", vector=OWN), item("encoded")]
    await written.items.BatchUpsertItems(pb.BatchUpsertItemsRequest(items=own))
    [page] = [page async for page in written.items.ExportItems(pb.ExportItemsRequest())]
    assert [bool(exported.vector) for exported in page.items] == [True, False, True]

    reply = await written.items.ImportItems(stream(list(page.items)))

    assert (reply.imported_count, reply.unchanged_count) == (3, 3)
    [again] = [page async for page in written.items.ExportItems(pb.ExportItemsRequest())]
    assert again == page


async def test_an_import_tells_new_items_from_changed_ones(written: WrittenCatalogue) -> None:
    await fill(written, 3)
    changed = [item("0000"), item("0001", title="other"), item("new"), item("")]

    batch = await written.items.BatchUpsertItems(pb.BatchUpsertItemsRequest(items=changed))
    reply = await written.items.ImportItems(stream(changed[:2], [item("newer")]))

    assert (batch.added_count, batch.changed_count, batch.unchanged_count) == (1, 1, 1)
    assert (reply.added_count, reply.changed_count, reply.unchanged_count) == (1, 0, 2)


async def test_an_export_of_nothing_is_empty(written: WrittenCatalogue) -> None:
    assert [page async for page in written.items.ExportItems(pb.ExportItemsRequest())] == []


async def test_items_at_their_limits_are_exported_and_listed(written: WrittenCatalogue) -> None:
    await fill(written, 300, text="\U0001f3b5" * 20_000)
    pages = [page.items async for page in written.items.ExportItems(pb.ExportItemsRequest())]
    assert sum(map(len, pages)) == 300
    assert await listed(written, 300) == [f"{n:04}" for n in range(300)]


async def listed(written: WrittenCatalogue, size: int) -> list[str]:
    ids: list[str] = []
    token = ""
    while True:
        request = pb.ListItemsRequest(page_size=size, page_token=token)
        page = await written.items.ListItems(request)
        ids += [shown.id for shown in page.items]
        token = page.next_page_token
        if not token:
            return ids


@pytest.mark.parametrize("size", [1, 5, 10, 11, 5000])
async def test_pages_show_every_item_once(written: WrittenCatalogue, size: int) -> None:
    await fill(written, 10)
    assert await listed(written, size) == [f"{n:04}" for n in range(10)]


# What no server gave out, with the check that anybody can make.
FORGED = encode_token(("ListItems",), b"\xff")
TOO_LONG = encode_token(("ListItems",), b"a" * 3000)


@pytest.mark.parametrize("token", ["x", "AAAA", "é", "MDAwMQ==", FORGED, TOO_LONG])
async def test_a_foreign_page_token_is_refused(written: WrittenCatalogue, token: str) -> None:
    call = written.items.ListItems(pb.ListItemsRequest(page_token=token))
    assert await refused(call) == (StatusCode.INVALID_ARGUMENT, ["page_token"])


async def test_several_items_are_returned_in_the_order_of_the_request(
    written: WrittenCatalogue,
) -> None:
    await fill(written, 3)
    request = pb.BatchGetItemsRequest(ids=["0002", "none", "0000", "0002", "nor", "none"])
    reply = await written.items.BatchGetItems(request)
    assert [found.id for found in reply.items] == ["0002", "0000"]
    assert list(reply.missing_ids) == ["none", "nor"]
