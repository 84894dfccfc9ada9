"""From row to interaction: what becomes of each column, and why a row is dropped."""

from dataclasses import replace
from datetime import datetime

import pytest
from longtail.client.importing.columns import InteractionColumns
from longtail.client.importing.interaction_rows import interaction_from_row
from longtail.client.importing.values import RowError

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


def test_a_recommendation_token_is_taken_and_changes_no_event_id() -> None:
    columns = replace(RATING, recommendation_token="list")
    interaction = interaction_from_row({**RATED, "list": "token"}, columns)

    assert interaction.recommendation_token == "token"
    assert interaction.event_id == interaction_from_row(RATED, columns).event_id
