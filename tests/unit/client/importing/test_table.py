"""Tables in memory are imported as files are."""

from datetime import datetime
from typing import Any

import pandas
import pyarrow
import pytest
from longtail.client import LongtailClient
from longtail.client.importing.rows import FileError
from longtail.client.importing.table import import_interactions_table, import_items_table
from longtail.v1.interaction_service_pb2 import WriteInteractionsRequest

from tests.unit.client.fake_server import Fake

ROWS: list[dict[str, Any]] = [
    {"movieId": 1.0, "title": "One", "year": 1995},
    {"movieId": 2.0, "title": "Two", "year": None},
    {"movieId": None, "title": "Nobody", "year": 2001},
]


@pytest.mark.parametrize(
    "table",
    [ROWS, iter(ROWS), pyarrow.Table.from_pylist(ROWS), pandas.DataFrame(ROWS)],
    ids=["rows", "iterator", "arrow", "pandas"],
)
def test_items_of_any_table_are_written(fake: Fake, table: object) -> None:
    with LongtailClient(fake.address) as client:
        report = import_items_table(client, table)

    assert (report.rows_read, report.imported, report.dropped_count) == (3, 2, 1)
    assert report.dropped["missing id"].lines == [3]
    assert fake.items["1"].attributes["year"] == 1995
    assert not fake.items["2"].attributes.fields


def test_interactions_of_a_table_are_recorded(fake: Fake) -> None:
    rows = {"user_id": ["ada"], "item_id": [1], "timestamp": [datetime(2021, 1, 1)]}
    with LongtailClient(fake.address) as client:
        import_interactions_table(client, pandas.DataFrame(rows))

    [request] = fake.requests
    assert isinstance(request, WriteInteractionsRequest)
    assert request.interactions[0].time.ToJsonString() == "2021-01-01T00:00:00Z"


def test_a_table_of_how_things_stand_has_its_latest_rows_recorded(fake: Fake) -> None:
    rows = [{"user_id": "ada", "item_id": 1, "rating": rating} for rating in (2, 5)]
    with LongtailClient(fake.address) as client:
        report = import_interactions_table(client, rows, latest=True)

    [written] = [each for each in fake.requests if isinstance(each, WriteInteractionsRequest)]
    assert [each.value for each in written.interactions] == [5]
    assert (report.imported, report.duplicates) == (1, 1)


def test_a_table_without_ids_is_refused(fake: Fake) -> None:
    with LongtailClient(fake.address) as client, pytest.raises(FileError, match="--id"):
        import_items_table(client, [{"title": "One"}])
