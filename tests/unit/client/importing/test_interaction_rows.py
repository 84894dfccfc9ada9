"""From row to interaction: what becomes of each column, and why a row is dropped."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from longtail.client.importing.columns import InteractionColumns, Scale
from longtail.client.importing.interaction_rows import interaction_reader
from longtail.client.importing.times import Times
from longtail.client.importing.values import RowError
from longtail.v1.interaction_service_pb2 import Interaction


def interaction_from_row(row: Mapping[str, Any], columns: InteractionColumns) -> Interaction:
    return interaction_reader(columns, Times())(row)


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


def test_a_rating_below_the_neutral_one_pushes_away() -> None:
    assert interaction_from_row(RATED, RATING).value == 1.5
    assert interaction_from_row({**RATED, "rating": "0.5"}, RATING).value == -2.0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"user_id": ""}, "missing user id"),
        ({"item_id": ""}, "missing id"),
        ({"rating": ""}, "missing value"),
        ({"rating": "good"}, "bad number"),
        ({"timestamp": ""}, "missing timestamp"),
        ({"timestamp": "yesterday"}, "bad timestamp"),
        ({"timestamp": "nan"}, "missing timestamp"),
        ({"user_id": float("nan")}, "missing user id"),
        ({"user_id": True}, "bad user id"),
        ({"item_id": {"$oid": "7"}}, "bad id"),
        ({"item_id": 7.5}, "bad id"),
        ({"rating": "1003"}, "value over 1,000"),
    ],
)
def test_an_interaction_of_no_use_says_why(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(RowError) as caught:
        interaction_from_row({**RATED, **change}, RATING)
    assert caught.value.reason == reason


def test_the_event_id_is_of_what_identifies_the_row() -> None:
    event_id = interaction_from_row(RATED, RATING).event_id

    assert interaction_from_row({**RATED, "rating": "1"}, RATING).event_id == event_id
    for change in ({"user_id": "9"}, {"item_id": "9"}, {"timestamp": "964982704"}):
        assert interaction_from_row({**RATED, **change}, RATING).event_id != event_id


@pytest.mark.parametrize("written", ["7", "7.0", 7, 7.0, " 7 ", b"7"])
def test_an_id_is_the_same_however_it_was_written(written: object) -> None:
    interaction = interaction_from_row({**RATED, "item_id": written, "user_id": written}, RATING)
    assert (interaction.item_id, interaction.user_id) == ("7", "7")


def test_a_changed_rating_without_a_time_is_another_event() -> None:
    columns = replace(RATING, time=None)
    event_id = interaction_from_row(RATED, columns).event_id

    assert interaction_from_row(RATED, columns).event_id == event_id
    assert interaction_from_row({**RATED, "rating": "1"}, columns).event_id != event_id


def test_what_grows_without_end_is_brought_to_a_scale() -> None:
    columns = replace(RATING, neutral=0, scale=Scale(0))
    assert interaction_from_row({**RATED, "rating": "16383"}, columns).value == 14


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


def test_a_recommendation_token_is_taken_and_changes_no_event_id() -> None:
    columns = replace(RATING, recommendation_token="list")
    interaction = interaction_from_row({**RATED, "list": "token"}, columns)

    assert interaction.recommendation_token == "token"
    assert interaction.event_id == interaction_from_row(RATED, columns).event_id
