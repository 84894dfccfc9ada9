"""What a key may store: counted with each write, refused by name, and free again when it goes."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from grpc import StatusCode
from grpc.aio import AioRpcError
from longtail.runtime.identity import Limits, Role
from longtail.runtime.keys import HEADER, SCHEME, Key, KeyRing, hashed, write_keys
from longtail.server.rpc.roles import ROLES
from longtail.server.store import usage
from longtail.server.store.clock import now
from longtail.server.store.usage import Usage, usage_of
from longtail.v1 import interaction_service_pb2, item_service_pb2

from tests.unit.server.written_catalogue import WrittenCatalogue, batch, item, written_catalogue

SHOP, OTHER = ((HEADER, f"{SCHEME}shop"),), ((HEADER, f"{SCHEME}other"),)
Metadata = Sequence[tuple[str, str]]


@asynccontextmanager
async def opened(folder: Path, **limits: int) -> AsyncIterator[WrittenCatalogue]:
    path = folder / "keys.json"
    shop = Key("shop", Role.ADMIN, hashed("shop"), "", Limits(**limits))
    write_keys(path, [shop, Key("other", Role.ADMIN, hashed("other"), "")])
    async with written_catalogue(folder, keys=KeyRing(path, ROLES)) as written:
        yield written


async def upsert(written: WrittenCatalogue, *ids: str, by: Metadata = SHOP) -> None:
    await written.items.BatchUpsertItems(batch(*(item(each) for each in ids)), metadata=by)


async def delete(written: WrittenCatalogue, *ids: str, by: Metadata = SHOP) -> None:
    request = item_service_pb2.BatchDeleteItemsRequest(ids=ids)
    await written.items.BatchDeleteItems(request, metadata=by)


async def record(written: WrittenCatalogue, *names: str) -> int:
    events = [
        interaction_service_pb2.Interaction(event_id=n, user_id="ann", item_id="i", type="view")
        for n in names
    ]
    request = interaction_service_pb2.WriteInteractionsRequest(interactions=events)
    reply: interaction_service_pb2.WriteInteractionsResponse = (
        await written.interactions.WriteInteractions(request, metadata=SHOP)
    )
    return reply.recorded_count


def used(written: WrittenCatalogue, key: str = "shop") -> Usage:
    with written.store._engine.connect() as connection:
        return usage_of(connection, key)


async def test_items_of_a_key_are_those_that_it_made_and_are_there(tmp_path: Path) -> None:
    async with opened(tmp_path, items=3) as written:
        await upsert(written, "a", "b")
        await upsert(written, "c", "d", "e", "f", by=OTHER)
        # What another made stays the other's.
        await upsert(written, "b", "c")
        assert (used(written), used(written, "other")) == (Usage(items=2), Usage(items=4))
        with pytest.raises(AioRpcError) as refused:
            await upsert(written, "g", "h")
        assert refused.value.code() == StatusCode.RESOURCE_EXHAUSTED
        said = refused.value.details() or ""
        assert "may have 3 items in the catalogue: 1 are left, and this would be 2 more" in said
        assert set(written.store.items.get(["a", "g", "h"])) == {"a"}
        assert used(written) == Usage(items=2)
        await upsert(written, "g")
        # At the limit what is there can be changed, by an update too.
        await upsert(written, "a", "g")
        request = item_service_pb2.UpdateItemRequest(item=item("h"), allow_missing=True)
        with pytest.raises(AioRpcError):
            await written.items.UpdateItem(request, metadata=SHOP)
        # Whoever deletes it, room is with who made it.
        await delete(written, "a", "b", "never there", by=OTHER)
        assert (used(written), used(written, "other")) == (Usage(items=1), Usage(items=4))
        await upsert(written, "a", "h")
        await delete(written, "c", "d")
        assert (used(written), used(written, "other")) == (Usage(items=3), Usage(items=2))


async def test_an_import_ends_at_the_limit_with_what_fits(tmp_path: Path) -> None:
    async with opened(tmp_path, items=5) as written:
        requests = (
            item_service_pb2.ImportItemsRequest(items=[item(f"{n} {m}") for m in range(2)])
            for n in range(4)
        )
        with pytest.raises(AioRpcError) as refused:
            await written.items.ImportItems(requests, metadata=SHOP)
        assert refused.value.code() == StatusCode.RESOURCE_EXHAUSTED
        assert used(written) == Usage(items=4)
        assert written.store.counts().items == 4


async def test_events_are_counted_by_the_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path, events=3) as written:
        assert await record(written, "1", "2") == 2
        # What was recorded before is not counted again.
        assert await record(written, "1", "2", "3") == 1
        assert await record(written, "3") == 0
        with pytest.raises(AioRpcError) as refused:
            await record(written, "4")
        assert "3 interactions and impressions a day (UTC): 0 are left" in str(refused.value)
        assert written.store.counts().interactions == 3
        tomorrow = now() + usage.DAY
        monkeypatch.setattr(usage, "now", lambda: tomorrow)
        assert used(written) == Usage(events=0)
        assert await record(written, "4") == 1


async def test_without_a_key_nothing_is_counted(tmp_path: Path) -> None:
    async with written_catalogue(tmp_path) as written:
        await upsert(written, "a", by=())
        await delete(written, "a", by=())
        with written.store._engine.connect() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM usage").scalar() == 0
