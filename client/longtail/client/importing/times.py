"""The moment that a time in a file is: recognised where only one is meant, refused where not.

Which one is meant may only be seen from the whole column: 1/2/2021 is in January where another row
says 1/31/2021. So a column is looked through before its times are read.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from enum import StrEnum

from google.protobuf.timestamp_pb2 import Timestamp
from longtail.client.importing.values import RowError

_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?")
_DIGITS = re.compile(r"\d{8}")
_CLOCK = (
    r"(?:,?[ T]+(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<seconds>\d{2})(?:[.,](?P<part>\d+))?)?"
    r"(?: ?(?P<half>[AaPp])\.?[Mm]\.?)?(?P<zone> ?[+-]\d{2}:?\d{2}| ?[+-]\d{2})?)?"
)
_NUMBERED = re.compile(
    r"(?P<first>\d{1,2})[/. -](?P<second>\d{1,2})(?:[/.-]|,? )(?P<year>\d{4})" + _CLOCK
)
_YEAR_FIRST = re.compile(
    r"(?P<year>\d{4})[/.年-](?P<month>\d{1,2})[/.月-](?P<day>\d{1,2})日?" + _CLOCK
)
_UNIVERSAL = re.compile(r" ?(UTC|GMT|UT|Z)$", re.IGNORECASE)
# What is told beside an offset: JavaScript's (Central European Time), Java's [Europe/Berlin].
_TOLD_TWICE = re.compile(r"([+-]\d{2}:?\d{2}|Z) ?(?:\([^()]*\)|\[[^\[\]]*\])$")
_OFFSET_OF_GMT = re.compile(r"\b(?:GMT|UTC)(?=[+-]\d{2}:?\d{2}$)")
# A month by its name, and a year that is no day.
_LETTERS, _YEAR = re.compile(r"[A-Za-z]{3}"), re.compile(r"(?<!\d)\d{4}(?!\d)")
# RFC 822, section 5: a zone of other letters is nobody's.
_MAIL = re.compile(
    r"([A-Za-z]{3}, *)?\d{1,2} [A-Za-z]{3} \d{4} \d{1,2}:\d{2}(:\d{2})? "
    r"([+-]\d{4}|UTC?|GMT|Z|[ECMP][SD]T)"
)
# Years that a number of four, or the first four of eight digits, may be.
FIRST_YEAR, LAST_YEAR = 1900, 2100
MONTHS = 12


class Unit(StrEnum):
    """What times are counted in, since 1970."""

    SECONDS = "s"
    MILLISECONDS = "ms"
    MICROSECONDS = "us"
    NANOSECONDS = "ns"


_NANOSECONDS = {
    Unit.SECONDS: 10**9,
    Unit.MILLISECONDS: 10**6,
    Unit.MICROSECONDS: 10**3,
    Unit.NANOSECONDS: 1,
}
# From 1973 to 2286 in each unit: no number is a time of that span in two of them.
_SPANS = (
    (10**8, 10**10, Unit.SECONDS),
    (10**11, 10**13, Unit.MILLISECONDS),
    (10**14, 10**16, Unit.MICROSECONDS),
    (10**17, 10**19, Unit.NANOSECONDS),
)
_HINT = "say with --time-unit or --time-format what it is"


@dataclass
class Times:
    """Reads the times of a column: with `unit` and `form` (of strptime) where they are said.

    `look` at every value first, then `read` them.
    """

    unit: Unit | None = None
    form: str | None = None
    # Of all that has been looked at.
    days_first: bool = False
    months_first: bool = False
    all_dates: bool = True
    all_years: bool = True

    def look(self, value: object) -> None:
        """Take in one value of the column."""
        if value is None or value == "":
            return
        text = _plain(value)
        if _NUMBER.fullmatch(text):
            self.all_dates &= _date_of_digits(text) is not None
            self.all_years &= _is_year(text)
            return
        numbered = _NUMBERED.fullmatch(text)
        if numbered:
            self.days_first |= int(numbered["first"]) > MONTHS
            self.months_first |= int(numbered["second"]) > MONTHS

    def read(self, value: object) -> Timestamp:
        """Return the moment; one without a zone is UTC.

        RowError when it is none, when it may be another, or lies outside the years 1 to 9999.
        """
        timestamp = Timestamp()
        try:
            if isinstance(value, date) and not isinstance(value, datetime):
                value = datetime(value.year, value.month, value.day, tzinfo=UTC)
            if isinstance(value, datetime):
                timestamp.FromDatetime(_zoned(value))
            elif isinstance(value, bool) or not isinstance(value, str | int | float):
                raise ValueError("neither a number nor text")
            else:
                self._set(timestamp, _plain(value))
            # What does not lie in the years 1 to 9999 cannot be sent.
            timestamp.ToJsonString()
        except (ValueError, OverflowError) as error:
            raise RowError("bad timestamp", f"{value!r}: {error}") from error
        return timestamp

    def _set(self, timestamp: Timestamp, text: str) -> None:
        if self.form is not None:
            timestamp.FromDatetime(_zoned(datetime.strptime(text, self.form)))
        elif _NUMBER.fullmatch(text):
            self._set_number(timestamp, text)
        else:
            timestamp.FromDatetime(_zoned(self._moment(text)))

    def _set_number(self, timestamp: Timestamp, text: str) -> None:
        unit = self.unit
        if unit is None:
            day = _date_of_digits(text) if self.all_dates else None
            if day is None and self.all_years and _is_year(text):
                day = datetime(int(float(text)), 1, 1, tzinfo=UTC)
            if day is not None:
                timestamp.FromDatetime(day)
                return
            size = abs(float(text))
            unit = next((unit for low, high, unit in _SPANS if low <= size < high), None)
            if unit is None:
                raise ValueError(_HINT)
        # A float would round the last digits of a second.
        nanoseconds = int(Decimal(text) * _NANOSECONDS[unit])
        # Times are kept to the microsecond.
        timestamp.FromNanoseconds(nanoseconds // 1000 * 1000)

    def _moment(self, text: str) -> datetime:
        text = _OFFSET_OF_GMT.sub("", _TOLD_TWICE.sub(r"\1", text))
        plain = _UNIVERSAL.sub("", text)
        numbered = _NUMBERED.fullmatch(plain)
        if numbered:
            return _dated(numbered, *self._month_and_day(numbered))
        year_first = _YEAR_FIRST.fullmatch(plain)
        if year_first:
            return _dated(year_first, int(year_first["month"]), int(year_first["day"]))
        for read in (_iso, _mailed, _named_month):
            try:
                return read(text)
            except (ValueError, TypeError, OverflowError):
                continue
        raise ValueError(f"no known form of time: {_HINT}")

    def _month_and_day(self, match: re.Match[str]) -> tuple[int, int]:
        if self.days_first == self.months_first:
            raise ValueError(f"the day or the month may come first: {_HINT}")
        first, second = int(match["first"]), int(match["second"])
        return (second, first) if self.days_first else (first, second)


def read_time(value: object) -> Timestamp:
    """Return the moment of a single time, as `Times.read` does."""
    times = Times()
    times.look(value)
    return times.read(value)


def _plain(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = str(value).strip()
    # As a data frame writes whole numbers.
    return text.removesuffix(".0") if text.removesuffix(".0").isdigit() else text


def _zoned(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _date_of_digits(text: str) -> datetime | None:
    """Return the date of 20210131; None when it is none."""
    if not _DIGITS.fullmatch(text) or not _is_year(text[:4]):
        return None
    try:
        return datetime(int(text[:4]), int(text[4:6]), int(text[6:]), tzinfo=UTC)
    except ValueError:
        return None


def _is_year(text: str) -> bool:
    return text.isdigit() and len(text) == 4 and FIRST_YEAR <= int(text) <= LAST_YEAR


def _dated(match: re.Match[str], month: int, day: int) -> datetime:
    hour = int(match["hour"] or 0)
    if match["half"]:
        if not 1 <= hour <= MONTHS:
            raise ValueError("half a day has twelve hours")
        hour = hour % 12 + (12 if match["half"] in "Pp" else 0)
    zone = (match["zone"] or "").strip()
    return datetime(
        int(match["year"]), month, day, hour, int(match["minute"] or 0),
        int(match["seconds"] or 0), int((match["part"] or "0").ljust(6, "0")[:6]),
        tzinfo=datetime.strptime(zone.ljust(5, "0"), "%z").tzinfo if zone else UTC,
    )  # fmt: skip


def _iso(text: str) -> datetime:
    return datetime.fromisoformat(_UNIVERSAL.sub("+00:00", text))


def _mailed(text: str) -> datetime:
    """Return the moment of a time as mail has it; ValueError of another."""
    if not _MAIL.fullmatch(text):
        raise ValueError
    return parsedate_to_datetime(text)


def _named_month(text: str) -> datetime:
    """Return the moment of a text such as 1 Jan 2021; ValueError when a part of it is missing."""
    from dateutil import parser

    if not (_LETTERS.search(text) and _YEAR.search(text)):
        raise ValueError
    # What a text does not say is taken from the default: then the two differ.
    one, other = (parser.parse(text, default=default, tzinfos=_no_zone) for default in _DEFAULTS)
    if one != other:
        raise ValueError
    return one


def _no_zone(name: str | None, offset: int | None) -> int | None:
    # IST is of India, Ireland and Israel.
    if name and offset is None:
        raise ValueError(f"{name} is no zone that all agree on")
    return offset


_DEFAULTS = (datetime(2000, 1, 1), datetime(2003, 3, 3))
