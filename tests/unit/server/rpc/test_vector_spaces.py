"""Vector spaces over gRPC: declared, written into, exported; what is wrong is named."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from grpc import StatusCode
from longtail.client import attributes, named_vectors
from longtail.runtime.errors import FailedPrecondition, InvalidArgument, NotFound
from longtail.server.catalogue.replica import CatalogueReplica
from longtail.server.process.audit import Audit
from longtail.server.rpc.admin import AdminService
from longtail.server.store.record_store import check_database
from longtail.server.store.records import EncoderBinding
from longtail.server.write.spaces import VectorSpaces
from longtail.v1 import admin_service_pb2, item_pb2
from longtail.v1 import item_service_pb2 as pb

from tests.unit.server.catalogues import SETTINGS
from tests.unit.server.store_records import vectors_in_spaces
from tests.unit.server.written_catalogue import (
    OWN,
    WrittenCatalogue,
    batch,
    fields,
    item,
    refused,
    written_catalogue,
)

IMAGE, OTHER = [3.0, 0.0, 4.0], [0.0, 1.0, 0.0]
UNIT = [0.6, 0.0, 0.8]
# What the methods of vector spaces have no need of.
NONE: Any = None


@pytest.fixture
async def written(tmp_path: Path) -> AsyncIterator[WrittenCatalogue]:
    async with written_catalogue(tmp_path) as opened:
        await declare(opened, "image", 3)
        await declare(opened, "sound", 2)
        yield opened
        assert check_database(tmp_path / "longtail.db") == []


async def declare(written: WrittenCatalogue, name: str, dimension: int) -> None:
    declared = written.commit.submit(lambda tx: written.store.spaces.declare(tx, name, dimension))
    await asyncio.wrap_future(declared)


async def delete(written: WrittenCatalogue, name: str) -> None:
    await asyncio.wrap_future(
        written.commit.submit(lambda tx: written.store.spaces.delete(tx, name))
    )


def pictured(item_id: str, image: Sequence[float] = IMAGE, **values: Any) -> item_pb2.Item:  # noqa: ANN401
    return item(item_id, extra_vectors=named_vectors({"image": image}), **values)


async def upsert(
    written: WrittenCatalogue, *items: item_pb2.Item
) -> tuple[list[list[str]], tuple[int, int, int]]:
    """Return the fields that each item is refused for, and the counts of the others."""
    reply: pb.BatchUpsertItemsResponse = await written.items.BatchUpsertItems(batch(*items))
    counts = reply.added_count, reply.changed_count, reply.unchanged_count
    return [fields(status) for status in reply.statuses], counts


async def update(written: WrittenCatalogue, changed: item_pb2.Item, *paths: str) -> item_pb2.Item:
    reply: pb.UpdateItemResponse = await written.items.UpdateItem(
        pb.UpdateItemRequest(item=changed, update_mask=FieldMask(paths=paths))
    )
    return reply.item


async def export(written: WrittenCatalogue) -> dict[str, item_pb2.Item]:
    found: dict[str, item_pb2.Item] = {}
    async for answer in written.items.ExportItems(pb.ExportItemsRequest()):
        found.update((each.id, each) for each in answer.items)
    return found


def held(exported: item_pb2.Item) -> dict[str, list[float]]:
    return {
        each.name: np.frombuffer(each.vector, "<f4").astype(float).round(6).tolist()
        for each in exported.extra_vectors
    }


async def test_items_have_vectors_in_spaces_and_exports_carry_them(
    written: WrittenCatalogue,
) -> None:
    both = named_vectors({"sound": [0, 2], "image": IMAGE})
    await upsert(written, item("a", extra_vectors=both), item("b", vector=OWN), item("c"))
    exported = await export(written)
    assert {item_id: held(each) for item_id, each in exported.items()} == {
        "a": {"image": UNIT, "sound": [0, 1]},
        "b": {},
        "c": {},
    }
    # Nobody else is told of them.
    read = (await written.items.GetItem(pb.GetItemRequest(id="a"))).item
    listed = (await written.items.ListItems(pb.ListItemsRequest())).items
    assert not any(each.extra_vectors or each.vector for each in (read, *listed))
    assert await upsert(written, *exported.values()) == ([[], [], []], (0, 0, 3))
    assert await export(written) == exported


async def test_an_import_again_tells_what_changed_of_vectors_alone(
    written: WrittenCatalogue,
) -> None:
    whole = item_pb2.Item(id="d", extra_vectors=named_vectors({"image": IMAGE}))
    assert await upsert(written, pictured("a"), item("b"), pictured("c"), whole) == (
        [[], [], [], []],
        (4, 0, 0),
    )
    texts = written.encoder.texts
    assert len(texts) == 3
    again = pictured("a", OTHER), pictured("b"), item("c"), whole
    assert (await upsert(written, *again))[1] == (0, 3, 1)
    assert (await upsert(written, *again))[1] == (0, 0, 4)
    # What stays is not encoded again.
    assert written.encoder.texts == texts
    assert {item_id: held(each) for item_id, each in (await export(written)).items()} == {
        "a": {"image": OTHER},
        "b": {"image": UNIT},
        "c": {},
        "d": {"image": UNIT},
    }


async def test_an_item_with_a_vector_alone_needs_no_text_and_no_encoder(
    written: WrittenCatalogue,
) -> None:
    bare = pictured("a", title="")
    assert await upsert(written, bare, item("b", title="")) == ([[], ["items[1].text"]], (1, 0, 0))
    assert written.encoder.calls == []
    assert written.store.changes.vectors(written.bound.id, ["a"]) == {}
    written.bound = await written.switch_encoder(EncoderBinding("second@1", 4))
    assert held((await export(written))["a"]) == {"image": UNIT}
    # A title has it encoded, and is taken away again.
    await update(written, item("a"), "title")
    assert written.encoder.texts == ["title of a"]
    await update(written, item_pb2.Item(id="a"), "title")
    assert held((await export(written))["a"]) == {"image": UNIT}
    assert (await upsert(written, bare))[1] == (0, 0, 1)


WRONG = {
    "a space that there is not": ({"film": IMAGE}, "extra_vectors[0].name"),
    "a space without a name": ({"image": IMAGE, "": IMAGE}, "extra_vectors[1].name"),
    "a vector of another length": ({"sound": [1, 0], "image": [1, 0]}, "extra_vectors[1].vector"),
    "no vector": ({"image": []}, "extra_vectors[0].vector"),
    "not a number": ({"sound": [1, float("nan")]}, "extra_vectors[0].vector"),
    "infinite": ({"sound": [1, float("inf")]}, "extra_vectors[0].vector"),
    "all zero": ({"sound": [0, 0]}, "extra_vectors[0].vector"),
}


@pytest.mark.parametrize(("vectors", "field"), WRONG.values(), ids=WRONG.keys())
async def test_what_is_wrong_with_a_vector_is_named_and_holds_back_no_other(
    written: WrittenCatalogue, vectors: dict[str, list[float]], field: str
) -> None:
    wrong = item("b", extra_vectors=named_vectors(vectors))
    assert await upsert(written, pictured("a"), wrong) == ([[], [f"items[1].{field}"]], (1, 0, 0))
    change = pb.UpdateItemRequest(item=wrong, update_mask=FieldMask(paths=["extra_vectors"]))
    change.item.id = "a"
    code = StatusCode.INVALID_ARGUMENT
    assert await refused(written.items.UpdateItem(change)) == (code, [f"item.{field}"])


async def test_what_there_is_is_told_and_no_space_comes_twice(written: WrittenCatalogue) -> None:
    vectors = named_vectors({"film": IMAGE})
    reply = await written.items.BatchUpsertItems(batch(item("a", extra_vectors=vectors)))
    assert reply.statuses[0].message == (
        "items[0].extra_vectors[0].name: is 'film', no vector space of the catalogue; "
        "there are: 'image', 'sound'"
    )
    twice = [*named_vectors({"sound": [1, 0], "image": IMAGE}), *named_vectors({"sound": [0, 1]})]
    reply = await written.items.BatchUpsertItems(batch(item("a", extra_vectors=twice)))
    assert fields(reply.statuses[0]) == ["items[0].extra_vectors[2].name"]
    assert reply.statuses[0].message.endswith("is that of extra_vectors[0] too")


async def test_an_update_replaces_vectors_where_its_mask_names_them(
    written: WrittenCatalogue,
) -> None:
    both = named_vectors({"image": IMAGE, "sound": [0, 1]})
    await upsert(written, item("a", extra_vectors=both), pictured("b", title=""))
    kept = item_pb2.Item(id="a", attributes=attributes({"year": 1}), extra_vectors=twice())
    changed = await update(written, kept, "attributes")
    assert not changed.extra_vectors
    assert held((await export(written))["a"]) == {"image": UNIT, "sound": [0, 1]}
    await update(written, pictured("a", OTHER), "extra_vectors")
    assert held((await export(written))["a"]) == {"image": OTHER}
    await update(written, item_pb2.Item(id="a"), "extra_vectors")
    assert held((await export(written))["a"]) == {}
    assert written.encoder.texts == ["title of a"]
    # It would have nothing at all.
    nothing = pb.UpdateItemRequest(
        item=item_pb2.Item(id="b"), update_mask=FieldMask(paths=["extra_vectors"])
    )
    code = StatusCode.INVALID_ARGUMENT
    assert await refused(written.items.UpdateItem(nothing)) == (code, ["item.text"])


def twice() -> list[item_pb2.NamedVector]:
    """Return vectors that nobody is to look at."""
    return named_vectors({"none": [1.0]}) * 2


async def test_vectors_of_a_space_that_goes_meanwhile_are_not_written(
    written: WrittenCatalogue,
) -> None:
    async def gone() -> None:
        written.encoder.meanwhile = None
        await delete(written, "image")
        await declare(written, "image", 3)

    written.encoder.meanwhile = gone
    assert await refused(written.items.BatchUpsertItems(batch(pictured("a")))) == (
        StatusCode.ABORTED,
        [],
    )
    assert await export(written) == {}
    await upsert(written, pictured("a"))
    # An update that does not name them keeps those of spaces that there are, and one that does is
    # told that there is none.
    written.encoder.meanwhile = gone
    await update(written, item("a", text="Another"), "text")
    assert held((await export(written))["a"]) == {}

    async def gone_for_good() -> None:
        written.encoder.meanwhile = None
        await delete(written, "image")

    written.encoder.meanwhile = gone_for_good
    both = pb.UpdateItemRequest(
        item=pictured("a", text="A third"), update_mask=FieldMask(paths=["text", "extra_vectors"])
    )
    assert await refused(written.items.UpdateItem(both)) == (
        StatusCode.INVALID_ARGUMENT,
        ["item.extra_vectors[0].name"],
    )
    await written.items.DeleteItem(pb.DeleteItemRequest(id="a"))
    assert vectors_in_spaces(written.store) == {}


async def test_an_item_whose_only_vector_went_with_its_space_can_be_changed(
    written: WrittenCatalogue,
) -> None:
    await upsert(written, pictured("a", title="", text=""))
    await delete(written, "image")
    await update(written, item_pb2.Item(id="a", penalty=0.5), "penalty")
    await update(written, item("a", state=item_pb2.STATE_HIDDEN), "state")
    left = (await export(written))["a"]
    assert (left.penalty, left.state, held(left)) == (0.5, item_pb2.STATE_HIDDEN, {})
    nothing = pb.UpdateItemRequest(
        item=item_pb2.Item(id="a"), update_mask=FieldMask(paths=["text", "state"])
    )
    refusal = await refused(written.items.UpdateItem(nothing))
    assert refusal == (StatusCode.INVALID_ARGUMENT, ["item.text"])
    await update(written, item("a", text="Words again"), "text")
    assert (await export(written))["a"].text == "Words again"
    await written.items.DeleteItem(pb.DeleteItemRequest(id="a"))


async def test_an_export_of_large_vectors_fits_into_messages(written: WrittenCatalogue) -> None:
    await declare(written, "large", 4096)
    large = named_vectors({"large": np.random.default_rng(7).normal(size=4096)})
    for start in range(0, 300, 100):
        items = [item(f"{n:03}", extra_vectors=large) for n in range(start, start + 100)]
        await upsert(written, *items)
    sizes = [
        answer.ByteSize() async for answer in written.items.ExportItems(pb.ExportItemsRequest())
    ]
    assert len(sizes) > 1
    assert max(sizes) < 4 * 2**20
    assert len(await export(written)) == 300


async def test_spaces_are_declared_listed_and_deleted_and_the_audit_says_so(
    written: WrittenCatalogue, tmp_path: Path
) -> None:
    audit = Audit(tmp_path / "told", None, 10**6)
    view = CatalogueReplica(written.store, written.bound, SETTINGS, tmp_path / "index")
    service = AdminService(
        view, NONE, VectorSpaces(written.store, written.commit, audit), written.pools
    )

    async def create(name: str, dimension: int) -> admin_service_pb2.CreateVectorSpaceResponse:
        request = admin_service_pb2.CreateVectorSpaceRequest(name=name, dimension=dimension)
        return await service.CreateVectorSpace(request, NONE)

    async def listed() -> list[tuple[str, int, int]]:
        reply = await service.ListVectorSpaces(admin_service_pb2.ListVectorSpacesRequest(), NONE)
        return [(each.name, each.dimension, each.item_count) for each in reply.vector_spaces]

    await upsert(written, pictured("a"), pictured("b"), item("c"))
    view.follow()
    made = await create("clip-2_b", 4096)
    assert (made.vector_space.name, made.revision) == ("clip-2_b", written.revision())
    assert await listed() == [("clip-2_b", 4096, 0), ("image", 3, 2), ("sound", 2, 0)]
    assert (await create("image", 3)).vector_space.item_count == 2
    with pytest.raises(FailedPrecondition):
        await create("image", 4)
    reply = await service.DeleteVectorSpace(
        admin_service_pb2.DeleteVectorSpaceRequest(name="image"), NONE
    )
    assert reply.revision == written.revision()
    assert [name for name, _, _ in await listed()] == ["clip-2_b", "sound"]
    for name in ("image", "never"):
        with pytest.raises(NotFound):
            await service.DeleteVectorSpace(
                admin_service_pb2.DeleteVectorSpaceRequest(name=name), NONE
            )
    audit.close()
    lines = (tmp_path / "told" / "audit.jsonl").read_text().splitlines()
    assert [(told["action"], told["name"]) for told in map(json.loads, lines)] == [
        ("vector space created", "clip-2_b"),
        ("vector space deleted", "image"),
    ]
    for name, dimension, field in (
        ("", 3, "name"),
        ("Image", 3, "name"),
        ("2d", 3, "name"),
        ("a/b", 3, "name"),
        ("a\n", 3, "name"),
        ("x" * 65, 3, "name"),
        ("text", 3, "name"),
        ("adapted", 3, "name"),
        ("ok", 0, "dimension"),
        ("ok", 4097, "dimension"),
    ):
        with pytest.raises(InvalidArgument) as caught:
            await create(name, dimension)
        assert [each.field for each in caught.value.violations] == [field]
