"""The moment that a time is: recognised where one only is meant, refused where not."""

from datetime import UTC, date, datetime

import pytest
from longtail.client.importing.times import Times, Unit, read_time
from longtail.client.importing.values import RowError

NEW_YEAR = "2021-01-01T00:00:00Z"


@pytest.mark.parametrize(
    "time",
    [
        "1609459200",
        1609459200,
        1609459200.0,
        "1609459200.0",
        "1609459200000",
        1609459200000,
        "1609459200000000",
        "1609459200000000000",
        "1.6094592e9",
        "2021-01-01",
        "20210101",
        20210101,
        "2021",
        "2021-01-01T00:00:00Z",
        "2021-01-01T01:00:00+01:00",
        "2021-01-01T01:00:00+0100",
        "2021-01-01 00:00:00",
        "2021-01-01 00:00:00 UTC",
        "2021-01-01T00:00:00.000000000Z",
        "2021/01/01",
        "2021/1/1 00:00:00",
        "Fri, 01 Jan 2021 00:00:00 GMT",
        "1 Jan 2021",
        "01-Jan-2021",
        "January 1, 2021",
        "Jan 1 2021 12:00AM",
        "2021-01-01 00:00:00.000000 UTC",
        "2021-01-01 00:00:00,000",
        "2021-1-1 00:00",
        "2021.01.01",
        "2021年1月1日",
        "2021-01-01 12:00 AM",
        "2021/1/1 1:00:00.000 +01:00",
        "2021-01-01 00:00:00+00",
        "2020-12-31T19:00:00-0500",
        "Fri, 01 Jan 2021 01:00:00 +0100",
        "Thu, 31 Dec 2020 19:00:00 EST",
        "Fri Jan 01 2021 01:00:00 GMT+0100 (Central European Standard Time)",
        "Fri Jan 01 01:00:00 +0100 2021",
        "2021-01-01T01:00:00+01:00[Europe/Berlin]",
        "2021-01-01T00:00Z[UTC]",
        datetime(2021, 1, 1),
        datetime(2021, 1, 1, tzinfo=UTC),
        date(2021, 1, 1),
    ],
)
def test_a_time_that_can_mean_one_moment_only_is_read(time: object) -> None:
    assert read_time(time).ToJsonString() == NEW_YEAR


@pytest.mark.parametrize(
    "time",
    ["yesterday", "9", 9, 0, "20211301", 20_000_000_000, True, {"a": 1}, "Jan 2021", "12:30",
     "01/02/2021", "12/1/2010 8:26", 1e300, "99999999999999999999", "1/2/21", "2021-02-30",
     "05-JAN-21", "Fri, 01 Jan 21 00:00:00 GMT", "Jan 1 10:00",
     # Of a zone that is another elsewhere, or none.
     "2021-01-01 00:00:00 EST", "Fri, 01 Jan 2021 00:00:00 IST", "2021-01-01 00:00:00 Mars/Base",
     "2021-01-01T00:00:00[Europe/Berlin]", "2021-01-01 13:00 PM", "2021-01-01 0:30 PM"],
)  # fmt: skip
def test_a_time_that_may_be_another_is_refused(time: object) -> None:
    with pytest.raises(RowError, match="bad timestamp"):
        read_time(time)


@pytest.mark.parametrize(
    ("beside", "moment"),
    [
        ("13/1/2010 8:00", "2010-01-12T08:26:00Z"),
        ("1/13/2010 8:00", "2010-12-01T08:26:00Z"),
        ("09 13, 2015", "2010-12-01T08:26:00Z"),
    ],
)
def test_the_column_shows_whether_day_or_month_comes_first(beside: str, moment: str) -> None:
    times = Times()
    for time in ("12/1/2010 8:26", beside):
        times.look(time)
    assert times.read("12/1/2010 8:26").ToJsonString() == moment


def test_digits_are_a_date_only_where_all_of_the_column_are() -> None:
    times = Times()
    for time in ("20210101", "20219999"):
        times.look(time)
    with pytest.raises(RowError, match="--time-unit or --time-format"):
        times.read("20210101")


def test_what_a_time_is_can_be_said() -> None:
    assert Times(Unit.SECONDS).read("9").ToJsonString() == "1970-01-01T00:00:09Z"
    assert Times(Unit.MILLISECONDS).read(20210101).ToJsonString() == "1970-01-01T05:36:50.101Z"
    times = Times(form="%d/%m/%Y %H:%M")
    assert times.read("12/1/2010 8:26").ToJsonString() == "2010-01-12T08:26:00Z"
    with pytest.raises(RowError, match="bad timestamp"):
        times.read("2010-01-12")


def test_fractions_of_a_second_keep_their_digits() -> None:
    moment = "2020-07-04T16:08:23.438Z"
    for time in ("1593878903.438", 1593878903.438, "1593878903438", "2020-07-04 16:08:23.438"):
        assert read_time(time).ToJsonString() == moment
