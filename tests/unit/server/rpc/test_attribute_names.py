"""Names of attributes are bounded: counted as items come and go, and refused with what is wrong."""

import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.rpc import status_pb2
from grpc import StatusCode
from longtail.server.store.attribute_names import count_names
from longtail.v1 import item_pb2, item_service_pb2

from tests.unit.server.written_catalogue import (
    ATTRIBUTE_NAMES,
    WrittenCatalogue,
    batch,
    fields,
    item,
    refused,
    written_catalogue,
)


@pytest.fixture
async def written(tmp_path: Path) -> AsyncIterator[WrittenCatalogue]:
    async with written_catalogue(tmp_path) as opened:
        yield opened


def having(item_id: str, *names: str, **attributes: Any) -> item_pb2.Item:  # noqa: ANN401 (JSON)
    made = item(item_id)
    made.attributes.update({**dict.fromkeys(names, 1), **attributes})
    return made


def many(start: int, stop: int) -> list[str]:
    return [f"n{number:03}" for number in range(start, stop)]


async def upsert(written: WrittenCatalogue, *items: item_pb2.Item) -> Sequence[status_pb2.Status]:
    reply: item_service_pb2.BatchUpsertItemsResponse = await written.items.BatchUpsertItems(
        batch(*items)
    )
    return reply.statuses


def count(written: WrittenCatalogue) -> int:
    with written.store._engine.connect() as connection:
        return count_names(connection)


async def test_an_item_with_too_many_new_names_is_refused_alone(
    written: WrittenCatalogue, tmp_path: Path
) -> None:
    said = await upsert(
        written,
        having("a", *many(0, 18)),
        having("b", "n000", "z1", "z2", "z3"),
        having("c", "n001", "n002", "y1"),
        having("d", *many(0, 18)),
        having("e", "y1", "y2"),
        having("f", "y3"),
    )
    assert [status.code for status in said] == [0, 3, 0, 0, 0, 3]
    assert fields(said[1]) == ["items[1].attributes.z1"]
    assert (
        "is a new name, and the catalogue has 18 names of attributes; with the 3 of this item it "
        "would have more than 20 (LONGTAIL_ATTRIBUTE_NAMES)"
    ) in said[1].message
    assert count(written) == ATTRIBUTE_NAMES
    assert set(written.store.items.get(list("abcdef"))) == set("acde")
    [line] = (tmp_path / "audit/audit.jsonl").read_text().splitlines()
    assert json.loads(line)["count"] == 4
    # What is there can be written again, with fewer names, and with those that there are.
    [again] = await upsert(written, having("e", "n000", "n017"))
    assert again.code == 0


async def test_names_go_with_the_last_item_that_has_them(written: WrittenCatalogue) -> None:
    await upsert(written, having("a", *many(0, 20)), having("b", *many(0, 3)), item("c"))
    await written.items.DeleteItem(item_service_pb2.DeleteItemRequest(id="a"))
    assert count(written) == 3
    [status] = await upsert(written, having("b", "n000", "new"))
    assert (status.code, count(written)) == (0, 2)
    for number in range(5):
        # Each takes the place of the one before.
        said = await upsert(written, having("c", *many(100 + 18 * number, 118 + 18 * number)))
        assert [status.code for status in said] == [0 if number == 0 else 3]
        await upsert(written, item("c"))
        said = await upsert(written, having("c", *many(100 + 18 * number, 118 + 18 * number)))
        assert [status.code for status in said] == [0]
        await upsert(written, having("c", *many(100 + 18 * number, 118 + 18 * number)))
        assert count(written) == ATTRIBUTE_NAMES


async def test_paths_are_names_and_an_update_is_refused_by_its_field(
    written: WrittenCatalogue,
) -> None:
    await upsert(written, having("a", nested={"b": {"c": 1}, "d": [{"e": 1}, {"e": 2}]}, no=None))
    assert count(written) == 5
    wide = item_service_pb2.UpdateItemRequest(
        item=having("a", *many(0, 21)), update_mask=FieldMask(paths=["attributes"])
    )
    code, said = await refused(written.items.UpdateItem(wide))
    assert (code, said) == (StatusCode.INVALID_ARGUMENT, ["item.attributes.n000"])
    narrow = item_service_pb2.UpdateItemRequest(
        item=having("a", *many(0, 15)), update_mask=FieldMask(paths=["attributes"])
    )
    await written.items.UpdateItem(narrow)
    assert count(written) == 15
