"""From row to item: what becomes of each column, and why a row is dropped."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from google.protobuf.json_format import MessageToDict
from longtail.client import attributes_of, named_vectors
from longtail.client.importing.columns import ItemColumns
from longtail.client.importing.item_rows import item_reader
from longtail.client.importing.values import RowError
from longtail.v1.item_pb2 import STATE_HIDDEN, STATE_IN_REVIEW, Item


def item_from_row(row: Mapping[str, Any], columns: ItemColumns) -> Item:
    """Return the item of a row of a file with types of its own."""
    return item_reader(columns, {})(row)


ITEM = ItemColumns("item_id", "title", "text", "downloads", list_columns=frozenset({"genres"}))
WINDOW = ItemColumns(
    "id", "title", None, None, "state", "available_from", "available_until", "penalty"
)


def test_an_item_takes_its_columns_and_the_rest_are_attributes() -> None:
    row = {
        "item_id": " 1 ",
        "title": "Toy Story (1995)",
        "text": "Toys live.",
        "downloads": "12.5",
        "genres": "Adventure|Children| ",
        "year": 1995,
        "code": "007",
        "tags": "a|b",
        "note": "",
    }

    item = item_from_row(row, ITEM)

    assert (item.id, item.title, item.text) == ("1", "Toy Story (1995)", "Toys live.")
    assert item.popularity_prior == 12.5
    assert MessageToDict(item.attributes) == {
        "genres": ["Adventure", "Children"],
        "year": 1995,
        "code": "007",
        "tags": "a|b",
    }


def test_values_of_other_formats_keep_their_kind() -> None:
    row = {
        "item_id": 7.0,
        "title": "t",
        "text": None,
        "downloads": None,
        "tags": ["a", "b"],
        "size": {"cm": 3},
        "new": True,
        "price": Decimal("1.5"),
        "made": datetime(2020, 1, 2, tzinfo=UTC),
        "gone": float("nan"),
        "none": None,
    }

    item = item_from_row(row, ITEM)

    assert item.id == "7"
    assert MessageToDict(item.attributes) == {
        "tags": ["a", "b"],
        "size": {"cm": 3.0},
        "new": True,
        "price": 1.5,
        "made": "2020-01-02T00:00:00+00:00",
    }


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"item_id": " "}, "missing id"),
        ({"title": "", "text": " "}, "missing text"),
        ({"downloads": "many"}, "bad number"),
        ({"downloads": "inf"}, "bad number"),
        ({"downloads": "1_000"}, "bad number"),
        ({"picture": b"\xff"}, "bad attribute"),
        ({"text": b"\xff"}, "not UTF-8"),
        ({"title": "<NA>", "text": r"\N"}, "missing text"),
        ({"item_id": "NaT"}, "missing id"),
        ({"item_id": Decimal("1.5")}, "bad id"),
        ({"item_id": "9.78044E+12"}, "bad id"),
        ({"size": 3j}, "bad attribute"),
        ({"text": {"en": "A fox"}}, "bad text"),
        ({"title": True}, "bad text"),
        ({"item_id": [1]}, "bad id"),
        ({"story": "x" * 17_000}, "attributes too large"),
    ],
)
def test_an_item_of_no_use_says_why(change: dict[str, Any], reason: str) -> None:
    row = {"item_id": "1", "title": "t", "text": "", "downloads": "1", "genres": "", **change}
    with pytest.raises(RowError) as caught:
        item_from_row(row, ITEM)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("title", "text", "found"),
    [
        (None, ["First part.", "Second part."], ("", "First part.\nSecond part.")),
        (1984, "", ("1984", "")),
        ("t", float("nan"), ("t", "")),
        ("t", [], ("t", "")),
        ("t", b"caf\xc3\xa9", ("t", "café")),
        (
            "Tom &amp; Jerry",
            "<p>A <b>cat</b>,<br/>a mouse.</p>",
            ("Tom & Jerry", "A cat , a mouse."),
        ),
        ("a < b & c > d", "<3", ("a < b & c > d", "<3")),
        ("t", "<script>x()</script><style>b {}</style>One <b>two</b>", ("t", "One two")),
    ],
)
def test_texts_are_texts_and_nothing_else(
    title: object, text: object, found: tuple[str, str]
) -> None:
    item = item_from_row({"item_id": "1", "title": title, "text": text}, ITEM)
    assert (item.title, item.text) == found


@pytest.mark.parametrize(
    "given", [[0.5, 1.0], "[0.5, 1.0]", "AAAAPwAAgD8=", (0.5, 1), np.array([0.5, 1], np.float16)],
)  # fmt: skip
def test_a_vector_is_a_list_or_base64(given: object) -> None:
    columns = ItemColumns("id", None, None, None, vector="v")
    item = item_from_row({"id": "1", "v": given}, columns)
    assert item.vector == bytes.fromhex("0000003f0000803f")


@pytest.mark.parametrize(
    "given",
    ["no", "AA", "AAAA", [1, None], [float("inf")], [1e39], {"x": 1}, 7, np.eye(2), [True, 1],
     np.array([True, False]), ["1", "2"]],
)  # fmt: skip
def test_a_vector_of_no_use_says_why(given: object) -> None:
    columns = ItemColumns("id", "title", None, None, vector="v")
    with pytest.raises(RowError, match="bad vector") as refused:
        item_from_row({"id": "1", "title": "t", "v": given}, columns)
    assert refused.value.detail.startswith("v: ")
    assert "padding" not in refused.value.detail
    assert not item_from_row({"id": "1", "title": "t", "v": None}, columns).vector


def test_vectors_in_spaces_come_from_columns_of_their_own() -> None:
    columns = ItemColumns("id", None, None, None, named_vectors={"image": "i", "sound": "s"})
    item = item_from_row({"id": "1", "i": [0.5, 1], "s": "[2]", "year": 7}, columns)
    assert list(item.extra_vectors) == named_vectors({"image": [0.5, 1], "sound": [2]})
    assert attributes_of(item) == {"year": 7}
    one = item_from_row({"id": "1", "i": None, "s": [3.0]}, columns)
    assert list(one.extra_vectors) == named_vectors({"sound": [3]})
    with pytest.raises(RowError, match="missing text"):
        item_from_row({"id": "1", "i": None, "s": []}, columns)
    with pytest.raises(RowError, match="bad vector"):
        item_from_row({"id": "1", "i": [1], "s": ["x"]}, columns)


@pytest.mark.parametrize(
    "given", [7, "x", {"image": [1]}, [[1]], [{"name": "image"}], [{"name": "a", "vector": [None]}]]
)
def test_vectors_in_spaces_are_as_an_export_writes_them(given: object) -> None:
    columns = ItemColumns("id", "title", None, None, extra_vectors="extra_vectors")
    row = {"id": "1", "title": "t", "extra_vectors": [{"name": "image", "vector": "AAAAPwAAgD8="}]}
    assert list(item_from_row(row, columns).extra_vectors) == named_vectors({"image": [0.5, 1]})
    assert not item_from_row({**row, "extra_vectors": None}, columns).extra_vectors
    with pytest.raises(RowError, match="bad vector"):
        item_from_row({**row, "extra_vectors": given}, columns)


def test_states_and_windows_are_the_items_own() -> None:
    row = {"id": "1", "title": "t", "state": "In review", "available_from": "2026-01-01"}
    item = item_from_row(row, WINDOW)

    assert item.state == STATE_IN_REVIEW
    assert item.available_from.ToJsonString() == "2026-01-01T00:00:00Z"
    assert not item.HasField("available_until")
    assert not item.attributes.fields
    assert item_from_row({**row, "state": "STATE_HIDDEN"}, WINDOW).state == STATE_HIDDEN
    with pytest.raises(RowError, match="bad state"):
        item_from_row({**row, "state": "CA"}, WINDOW)


def test_a_penalty_is_the_items_own_and_a_number() -> None:
    row = {"id": "1", "title": "t", "penalty": "0.5"}
    item = item_from_row(row, WINDOW)

    assert item.penalty == 0.5
    assert not item.attributes.fields
    assert item_from_row({**row, "penalty": ""}, WINDOW).penalty == 0
    with pytest.raises(RowError, match="bad number"):
        item_from_row({**row, "penalty": "some"}, WINDOW)


def test_an_object_of_attributes_is_taken_as_it_is() -> None:
    given = {"code": "1999", "tags": ["a"], "year": 7, "said": " so "}
    row = {"id": "1", "title": "t", "attributes": given}
    assert attributes_of(item_from_row(row, WINDOW)) == given


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (1977, 1977),
        (1977.0, 1977),
        (Decimal("1977"), 1977),
        (Decimal("1977.5"), 1977.5),
        (True, True),
        (2**53 - 1, 2**53 - 1),
        # All of its digits, or none.
        (2**53 + 1, "9007199254740993"),
        (Decimal(2**53 + 1), "9007199254740993"),
        (Decimal("1.10"), 1.1),
        (Decimal("1234567890.123456789"), "1234567890.123456789"),
        ("-" + "9" * 40, "-" + "9" * 40),
        ([1, {"a": 2**53 + 1}], [1, {"a": "9007199254740993"}]),
        (time(1, 2, 3), "01:02:03"),
        (timedelta(minutes=1.5), 90),
        (["NaN", None], ["NaN", None]),
        ({"made": [datetime(2020, 1, 2)]}, {"made": ["2020-01-02T00:00:00+00:00"]}),
    ],
)
def test_a_number_is_what_the_file_says(given: object, kept: object) -> None:
    item = item_from_row({"id": "1", "title": "t", "a": given}, WINDOW)
    assert json.dumps(attributes_of(item)) == json.dumps({"a": kept})
