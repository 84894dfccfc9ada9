"""What is found in a catalogue and listed of it, whatever keeps it and searches it."""

import unicodedata
from typing import Any

import numpy as np
import pytest
from google.rpc import code_pb2
from grpc import StatusCode
from longtail.client import LongtailError, filter_of, named_vectors, where
from longtail.v1 import recommendation_service_pb2 as pb
from longtail.v1.item_pb2 import STATE_HIDDEN, Item

from tests.conformance.asked import LENGTH, exact, ids, item, items, near, percentiles, put
from tests.conformance.deployment import Deployment
from tests.faults.items import Material

pytestmark = [pytest.mark.model, pytest.mark.vectors]

COUNT = 100
PERCENTS = (28, 5, 1)
SPACE, DIMENSION = "image", 8
STRANGE = (
    "\N{PILE OF POO}",
    "\N{FAMILY}\N{ZERO WIDTH JOINER}\N{GIRL}",
    unicodedata.normalize("NFC", "cafe\N{COMBINING ACUTE ACCENT}"),
    unicodedata.normalize("NFD", "cafe\N{COMBINING ACUTE ACCENT}"),
    "\N{HEBREW LETTER ALEF}\N{HEBREW LETTER BET}",
    "\N{CJK UNIFIED IDEOGRAPH-65E5}\N{CJK UNIFIED IDEOGRAPH-672C}",
    "\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}stanbul",
    "istanbul",
    "Istanbul",
    "stra\N{LATIN SMALL LETTER SHARP S}e",
    "strasse",
    "\ue000",
    "\U0010fffd",
    "\uffff",
    "a b",
    "a  b",
    "a",
    "B",
    "%",
    "_",
    "\\",
    "'); DROP TABLE items; --",
    '"quoted"',
    "$1",
    ":name",
    "{}",
    "1",
    "01",
    "1e0",
    "null",
    "x" * 256,
    "\N{PILE OF POO}" * 256,
)


def test_an_overwritten_item_is_found_as_it_is_now(
    deployment: Deployment, material: Material
) -> None:
    client = deployment.client
    put(client, items(material, COUNT))
    deployment.rebuild()
    for version in (1, 2):
        number = 7 * version
        before, after = (
            item(material, f"item-{number:05d}", number, each) for each in (0, version)
        )
        written = put(client, [after])
        for asked in deployment.clients:
            found = near(asked, material.vector(number, version), min_revision=written)
            assert found.results[0].item_id == after.id
            assert found.results[0].title == after.title
            assert found.results[0].breakdown.similarity == pytest.approx(1, abs=1e-3)
            old = near(asked, material.vector(number), length=100)
            assert ids(old).count(after.id) <= 1
            at = {result.item_id: result.breakdown.similarity for result in old.results}
            true = material.vector(number) @ material.vector(number, version)
            assert at.get(after.id, true) == pytest.approx(true, abs=1e-3)
        assert before.title != after.title
        assert client.get_item(after.id).item.title == after.title
        # Once more from a graph that has only what is there now.
        deployment.rebuild()
    assert client.catalog_stats().item_count == COUNT


def test_fields_that_are_updated_change_and_no_others(
    deployment: Deployment, material: Material
) -> None:
    client = deployment.client
    put(client, items(material, COUNT))
    changed = Item(id="item-00003", title="Another title", state=STATE_HIDDEN)
    changed.attributes["year"] = 2031
    before = client.get_item(changed.id).item
    client.update_item(changed, ["title", "attributes.year"])
    found = client.get_item(changed.id).item
    assert (found.title, found.attributes["year"]) == ("Another title", 2031)
    assert (found.text, found.attributes["tags"]) == (before.text, before.attributes["tags"])
    assert near(client, material.vector(3)).results[0].title == "Another title"
    filter = filter_of(all_of=[where("year").equals(2031)])
    assert ids(near(client, material.vector(9), filter=filter)) == [changed.id]
    written = client.update_item(changed, ["state"]).revision
    for asked in deployment.clients:
        assert changed.id not in ids(near(asked, material.vector(3), min_revision=written))


def test_a_deleted_item_is_found_no_more_until_it_is_written_again(
    deployment: Deployment, material: Material
) -> None:
    client = deployment.client
    put(client, items(material, COUNT))
    for indexed in (False, True):
        if indexed:
            deployment.rebuild()
        gone = [f"item-{number:05d}" for number in range(0, COUNT, 3)]
        reply = client.delete_items([*gone, "never there"])
        assert [status.code for status in reply.statuses] == [
            *([code_pb2.OK] * len(gone)),
            code_pb2.NOT_FOUND,
        ]
        with pytest.raises(LongtailError) as caught:
            client.get_item(gone[0])
        assert caught.value.code is StatusCode.NOT_FOUND
        for asked in deployment.clients:
            for number in (0, 3):
                found = near(asked, material.vector(number), 50, min_revision=reply.revision)
                assert len(found.results) == 50
                assert not set(gone) & set(ids(found))
        assert client.catalog_stats().item_count == COUNT - len(gone)
        written = put(client, [each for each in items(material, COUNT) if each.id in gone])
        for asked in deployment.clients:
            for number in (0, 3):
                found = near(asked, material.vector(number), min_revision=written)
                assert found.results[0].item_id == f"item-{number:05d}"


def test_a_filter_gives_the_nearest_of_what_passes(
    deployment: Deployment, material: Material
) -> None:
    client = deployment.client
    catalogue = items(material, COUNT)
    put(client, catalogue)
    for indexed in (False, True):
        if indexed:
            deployment.rebuild()
        for percent in PERCENTS:
            passing = {
                each.id: each.vector
                for each, place in zip(catalogue, percentiles(COUNT), strict=True)
                if place < percent
            }
            assert len(passing) == COUNT * percent // 100
            filter = filter_of(all_of=[where("percent").between(less_than=percent)])
            for seed in range(2):
                vector = material.vector(seed, 99)
                found = near(client, vector, filter=filter)
                assert ids(found) == exact(passing, vector)
                if len(passing) < LENGTH:
                    assert found.short_page_reason == pb.SHORT_PAGE_REASON_FILTER


def test_more_than_there_is_gives_all_that_there_is(
    deployment: Deployment, material: Material
) -> None:
    client = deployment.client
    nothing = near(client, material.vector(1), length=100)
    assert ids(nothing) == []
    put(client, items(material, 7))
    for indexed in (False, True):
        if indexed:
            deployment.rebuild()
        found = near(client, material.vector(1), length=100)
        assert len(set(ids(found))) == len(found.results) == 7
        assert found.short_page_reason == pb.SHORT_PAGE_REASON_CATALOGUE_EXHAUSTED


def test_items_that_are_equally_near_all_come_and_in_one_order(
    deployment: Deployment, material: Material
) -> None:
    client = deployment.client
    same = [item(material, f"same-{number:02d}", 1) for number in range(12)]
    put(client, [*items(material, 30), *same])
    orders = []
    for indexed in (False, True):
        if indexed:
            deployment.rebuild()
        for asked in deployment.clients:
            asked.recommend(min_revision=client.server_info().revision)
            found = near(asked, material.vector(1), length=13)
            # One item of the catalogue has this vector too.
            assert set(ids(found)) == {"item-00001", *(each.id for each in same)}
            first = near(asked, material.vector(1), length=5)
            second = near(asked, material.vector(1), length=8, page_token=first.next_page_token)
            assert ids(first) + ids(second) == ids(found)
            orders.append(ids(found))
            # One stands for all of them otherwise.
            alone = asked.recommend(
                examples=[pb.Example(vector=material.vector(1).tobytes())], strength=0.0
            )
            assert [each for each in ids(alone) if each in orders[0]] == ["item-00001"]
    assert all(order == orders[0] for order in orders)


def test_ids_of_any_script_are_kept_apart_and_in_order(
    deployment: Deployment, material: Material
) -> None:
    client = deployment.client
    assert len(set(STRANGE)) == len(STRANGE)
    written = [item(material, name, number) for number, name in enumerate(STRANGE)]
    put(client, written)
    assert [each.id for each in client.list_items(page_size=7)] == sorted(STRANGE)
    assert [each.id for each in client.export_items()] == sorted(STRANGE)
    deployment.rebuild()
    for number, name in enumerate(STRANGE):
        assert client.get_item(name).item.title == written[number].title
        assert ids(near(client, material.vector(number), length=1)) == [name]
    for name in STRANGE[::2]:
        client.delete_item(name)
    assert [each.id for each in client.list_items()] == sorted(STRANGE[1::2])


def test_texts_and_attributes_come_back_as_they_were_written(
    deployment: Deployment, material: Material
) -> None:
    client = deployment.client
    given: dict[str, Any] = {
        "text": "\x01 \x7f \ufeff \U0001f4a9 \\u0000 '\"",
        "numbers": [0, -0.5, 1e300, 5e-324, 2**53 - 1, 1.0],
        "flags": [True, False, None],
        "empty": {"list": [], "object": {}, "text": ""},
        "Year": 1,
        "year": 2,
        "deep": {"a": {"b": {"c": ["\N{SNOWMAN}"]}}},
    }
    written = item(material, "odd", 1)
    written.title, written.text = "A\x1ftitle", "tab\tline\n\U0010ffff"
    written.attributes.Clear()
    written.attributes.update(given)
    put(client, [written])
    for asked in deployment.clients:
        asked.recommend(min_revision=client.server_info().revision)
        found = asked.get_item("odd").item
        assert (found.title, found.text) == (written.title, written.text)
        assert found.attributes == written.attributes
    filter = filter_of(all_of=[where("deep.a.b.c").equals("\N{SNOWMAN}"), where("year").equals(2)])
    assert ids(near(client, material.vector(1), filter=filter)) == ["odd"]
    (exported,) = client.export_items()
    assert exported.attributes == written.attributes


def test_a_text_that_not_every_store_can_hold_is_refused_alone(
    deployment: Deployment, material: Material
) -> None:
    client = deployment.client
    odd, plain = (item(material, name, number) for number, name in enumerate(("odd", "plain")))
    odd.text = "before\x00after"
    reply = client.upsert_items([odd, plain])
    assert [status.code for status in reply.statuses] == [code_pb2.INVALID_ARGUMENT, code_pb2.OK]
    assert [each.id for each in client.export_items()] == ["plain"]


def test_lists_and_exports_are_in_the_order_of_ids_page_by_page(
    deployment: Deployment, material: Material
) -> None:
    client = deployment.client
    catalogue = items(material, COUNT)
    put(client, catalogue[::-1])
    put(client, catalogue[: COUNT // 2])
    for size in (1000, 100, 7):
        assert [each.id for each in client.list_items(page_size=size)] == [
            each.id for each in catalogue
        ]
    exported = {each.id: each.vector for each in client.export_items()}
    assert list(exported) == [each.id for each in catalogue]
    for each in catalogue[::50]:
        kept = np.frombuffer(exported[each.id], "<f4")
        assert kept == pytest.approx(np.frombuffer(each.vector, "<f4"), abs=1e-6)


def test_named_vectors_find_items_until_their_space_is_deleted(
    deployment: Deployment, material: Material
) -> None:
    client = deployment.client
    client.create_vector_space(SPACE, DIMENSION)
    drawn = np.random.default_rng(5).normal(size=(COUNT, DIMENSION)).astype("<f4")
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    catalogue = items(material, COUNT)
    for each, vector in zip(catalogue, drawn, strict=True):
        each.extra_vectors.extend(named_vectors({SPACE: vector.tolist()}))
    for each in catalogue[::2]:
        # Found by what it looks like alone.
        each.ClearField("vector")
        each.ClearField("title")
        each.ClearField("text")
    written = put(client, catalogue)
    held = {each.id: vector.tobytes() for each, vector in zip(catalogue, drawn, strict=True)}
    for indexed in (False, True):
        if indexed:
            deployment.rebuild()
        for asked in deployment.clients:
            for at in (0, 1, 2, 3):
                found = near(asked, drawn[at], space=SPACE, min_revision=written)
                assert ids(found) == exact(held, drawn[at])
            texts = near(asked, material.vector(1), length=100)
            assert {int(name.removeprefix("item-")) % 2 for name in ids(texts)} == {1}
    (space,) = client.list_vector_spaces().vector_spaces
    assert (space.name, space.dimension, space.item_count) == (SPACE, DIMENSION, COUNT)
    deleted = client.delete_vector_space(SPACE).revision
    for asked in deployment.clients:
        asked.recommend(min_revision=deleted)
        with pytest.raises(LongtailError) as caught:
            near(asked, drawn[0], space=SPACE)
        assert caught.value.violations[0].field == "examples[0].space"
