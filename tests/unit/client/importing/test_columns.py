"""From row to message: what becomes of each column, and why a row is dropped."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from longtail.client.importing.columns import (
    InteractionColumns,
    ItemColumns,
    choose,
    interaction_from_row,
    item_from_row,
    require,
)
from longtail.client.importing.rows import FileError
from longtail.client.importing.values import RowError
from longtail.v1.item_pb2 import STATE_HIDDEN, STATE_IN_REVIEW

ITEM = ItemColumns("item_id", "title", "text", "downloads", list_columns=frozenset({"genres"}))
RATING = InteractionColumns(
    user_id="user_id",
    item_id="item_id",
    default_type="rating",
    value="rating",
    time="timestamp",
    type=None,
    query=None,
    event_id=None,
    neutral=2.5,
)
RATED = {"user_id": "1", "item_id": "2", "rating": "4.0", "timestamp": "964982703"}


def test_an_item_takes_its_columns_and_the_rest_are_attributes() -> None:
    row = {
        "item_id": " 1 ",
        "title": "Toy Story (1995)",
        "text": "Toys live.",
        "downloads": "12.5",
        "genres": "Adventure|Children| ",
        "year": "1995",
        "code": "007",
        "tags": "a|b",
        "note": "",
    }

    item = item_from_row(row, ITEM)

    assert (item.id, item.title, item.text) == ("1", "Toy Story (1995)", "Toys live.")
    assert item.popularity_prior == 12.5
    assert MessageToDict(item.attributes) == {
        "genres": ["Adventure", "Children"],
        "year": 1995.0,
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
        ({"picture": b"\x00"}, "bad attribute"),
    ],
)
def test_an_item_of_no_use_says_why(change: dict[str, Any], reason: str) -> None:
    row = {"item_id": "1", "title": "t", "text": "", "downloads": "1", "genres": "", **change}
    with pytest.raises(RowError) as caught:
        item_from_row(row, ITEM)
    assert caught.value.reason == reason


def test_a_rating_below_the_neutral_one_pushes_away() -> None:
    assert interaction_from_row(RATED, RATING).value == 1.5
    assert interaction_from_row({**RATED, "rating": "0.5"}, RATING).value == -2.0


@pytest.mark.parametrize(
    "timestamp",
    [
        "964982703",
        964982703,
        964982703.0,
        "2000-07-30T18:45:03Z",
        "2000-07-30T20:45:03+02:00",
        "2000-07-30 18:45:03",
        datetime(2000, 7, 30, 18, 45, 3),
    ],
)
def test_a_time_is_seconds_or_iso(timestamp: object) -> None:
    interaction = interaction_from_row({**RATED, "timestamp": timestamp}, RATING)
    assert interaction.time.ToJsonString() == "2000-07-30T18:45:03Z"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"user_id": ""}, "missing user id"),
        ({"item_id": ""}, "missing id"),
        ({"rating": ""}, "missing value"),
        ({"rating": "good"}, "bad number"),
        ({"timestamp": ""}, "missing timestamp"),
        ({"timestamp": "yesterday"}, "bad timestamp"),
        ({"timestamp": "964982703000"}, "bad timestamp"),
        ({"timestamp": "nan"}, "bad timestamp"),
    ],
)
def test_an_interaction_of_no_use_says_why(change: dict[str, str], reason: str) -> None:
    with pytest.raises(RowError) as caught:
        interaction_from_row({**RATED, **change}, RATING)
    assert caught.value.reason == reason


def test_the_event_id_is_of_what_identifies_the_row() -> None:
    event_id = interaction_from_row(RATED, RATING).event_id

    assert interaction_from_row({**RATED, "rating": "1"}, RATING).event_id == event_id
    for change in ({"user_id": "9"}, {"item_id": "9"}, {"timestamp": "9"}):
        assert interaction_from_row({**RATED, **change}, RATING).event_id != event_id


def test_the_parts_of_an_event_id_do_not_run_together() -> None:
    one = interaction_from_row({**RATED, "user_id": "12", "item_id": "3"}, RATING)
    other = interaction_from_row({**RATED, "user_id": "1", "item_id": "23"}, RATING)
    assert one.event_id != other.event_id


def test_a_row_without_its_query_is_incomplete_in_the_form_of_the_article() -> None:
    columns = InteractionColumns(
        user_id="user_id",
        item_id="item_id",
        default_type="query",
        value=None,
        time=None,
        type=None,
        query="query",
        event_id=None,
        needs_query=True,
    )
    row = {"user_id": "2", "item_id": "60756", "item_description": "Step.", "query": "funny"}

    interaction = interaction_from_row(row, columns)
    assert (interaction.type, interaction.query) == ("query", "funny")
    assert not interaction.HasField("value")
    with pytest.raises(RowError, match="missing query"):
        interaction_from_row({**row, "query": ""}, columns)


def test_columns_are_chosen_by_flag_then_by_name() -> None:
    assert choose(["id", "name"], "name", ("title",), "title") == "name"
    assert choose(["id", "title"], None, ("title",), "title") == "title"
    assert choose(["id"], None, ("title",), "title") is None
    with pytest.raises(FileError, match=r"'nome'.*there are id, name"):
        choose(["id", "name"], "nome", ("title",), "title")
    with pytest.raises(FileError, match="no column for the id"):
        require(["name"], None, ("item_id", "id"), "id")


WINDOW = ItemColumns(
    "id", "title", None, None, "state", "available_from", "available_until", "penalty"
)


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


def test_a_recommendation_token_is_taken_and_changes_no_event_id() -> None:
    columns = replace(RATING, recommendation_token="list")
    interaction = interaction_from_row({**RATED, "list": "token"}, columns)

    assert interaction.recommendation_token == "token"
    assert interaction.event_id == interaction_from_row(RATED, columns).event_id


def test_an_object_of_attributes_is_taken_as_it_is() -> None:
    row = {"id": "1", "title": "t", "attributes": {"code": "1999", "tags": ["a"], "year": 7}}
    assert MessageToDict(item_from_row(row, WINDOW).attributes) == row["attributes"]
