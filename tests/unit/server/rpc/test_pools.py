"""Where the work of the services is done: no kind of it keeps another from being done."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from grpc import StatusCode
from longtail.runtime.message_size import MAX_MESSAGE_BYTES
from longtail.server.process import pools
from longtail.v1 import interaction_service_pb2
from longtail.v1 import item_service_pb2 as pb

from tests.unit.server.written_catalogue import (
    WrittenCatalogue,
    batch,
    get,
    item,
    refused,
    written_catalogue,
)

# More than any kind of work has threads.
JOBS = 8


@pytest.fixture
async def written(tmp_path: Path) -> AsyncIterator[WrittenCatalogue]:
    async with written_catalogue(tmp_path) as opened:
        yield opened


@asynccontextmanager
async def filled(pool: Callable[[Callable[[], bool]], Awaitable[bool]]) -> AsyncIterator[None]:
    """Have all threads of a pool busy, and work waiting for them."""
    go = threading.Event()
    jobs = [asyncio.ensure_future(pool(lambda: go.wait(240))) for _ in range(JOBS)]
    try:
        yield
        assert not any(job.done() for job in jobs)
    finally:
        go.set()
        await asyncio.gather(*jobs)


async def edit_and_read(written: WrittenCatalogue) -> None:
    reply = await written.items.BatchUpsertItems(batch(item("b", title="new"), request_id="once"))
    assert [status.code for status in reply.statuses] == [0]
    assert (await get(written, "b")).title == "new"


async def look_through(written: WrittenCatalogue) -> None:
    page = await written.items.ListItems(pb.ListItemsRequest())
    assert [each.id for each in page.items] == ["a"]


async def record(written: WrittenCatalogue) -> None:
    event = interaction_service_pb2.Interaction(
        event_id="e", user_id="ann", item_id="a", type="view"
    )
    request = interaction_service_pb2.WriteInteractionsRequest(interactions=[event])
    assert (await written.interactions.WriteInteractions(request)).recorded_count == 1


async def write_many(written: WrittenCatalogue) -> None:
    reply = await written.items.BatchUpsertItems(batch(*(item(f"c{n}") for n in range(50))))
    assert len(reply.statuses) == 50


@pytest.mark.parametrize(
    ("kind", "others"),
    [
        ("bulk", [record, look_through, edit_and_read]),
        ("administration", [record, edit_and_read, write_many]),
    ],
)
async def test_work_of_one_kind_does_not_wait_for_another(
    written: WrittenCatalogue,
    kind: str,
    others: list[Callable[[WrittenCatalogue], Awaitable[None]]],
) -> None:
    await written.items.BatchUpsertItems(batch(item("a")))
    async with filled(getattr(written.pools, kind)):
        for other in others:
            await asyncio.wait_for(other(written), 60)


@pytest.fixture
def hops(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """Return what holds an element for each time that work went into a thread."""
    made: list[None] = []
    done = pools._done

    def counting(pool: object, work: object) -> object:
        made.append(None)
        return done(pool, work)  # type: ignore[arg-type]

    monkeypatch.setattr(pools, "_done", counting)
    return made


async def test_a_batch_goes_into_a_thread_once(written: WrittenCatalogue, hops: list[None]) -> None:
    items = [item(f"a{n}") for n in range(20)]
    reply = await written.items.BatchUpsertItems(batch(*items, item("x", title=""), request_id="1"))
    assert len(reply.statuses) == 21
    assert len(hops) == 1
    again = await written.items.BatchUpsertItems(batch(*items, item("x", title=""), request_id="1"))
    assert again == reply
    assert len(hops) == 2
    await written.items.UpdateItem(
        pb.UpdateItemRequest(item=item("a1", title="new"), update_mask={"paths": ["title"]})
    )
    assert len(hops) == 3


async def test_items_that_fit_into_no_answer_are_refused(written: WrittenCatalogue) -> None:
    count = MAX_MESSAGE_BYTES // 60_000 + 1
    for start in range(0, count, 60):
        items = [item(f"a{n}", text="€" * 20_000) for n in range(start, min(start + 60, count))]
        await written.items.BatchUpsertItems(batch(*items))
    ids = [f"a{n}" for n in range(count)]
    call = written.items.BatchGetItems(pb.BatchGetItemsRequest(ids=ids))
    assert (await refused(call))[0] is StatusCode.RESOURCE_EXHAUSTED
    reply = await written.items.BatchGetItems(pb.BatchGetItemsRequest(ids=["b", *ids[:30], "c"]))
    assert [each.id for each in reply.items] == ids[:30]
    assert list(reply.missing_ids) == ["b", "c"]
