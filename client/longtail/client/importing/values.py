"""Reads the values of a row: texts, numbers, states and times."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from longtail.v1.item_pb2 import STATE_ACTIVE, STATE_HIDDEN, STATE_IN_REVIEW, State

_STATES: dict[str, State] = {
    "active": STATE_ACTIVE,
    "hidden": STATE_HIDDEN,
    "in_review": STATE_IN_REVIEW,
}


class RowError(Exception):
    """A row that cannot be used; `reason` is one of a few, `detail` says more."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


def text(row: Mapping[str, Any], column: str | None) -> str:
    """Return what a column holds as text, empty where there is no column or nothing in it."""
    value = row.get(column) if column else None
    if value is None:
        return ""
    # Parquet and JSON may hold ids as 7.0, which is the id 7.
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def required(row: Mapping[str, Any], column: str, what: str) -> str:
    """Return the text in a column; RowError, which says what is missing, when it is empty."""
    found = text(row, column)
    if not found:
        raise RowError(f"missing {what}")
    return found


def number(row: Mapping[str, Any], column: str) -> float:
    """Return the finite number in a column; RowError when it is none."""
    try:
        found = float(row[column])
    except (TypeError, ValueError):
        found = math.nan
    if not math.isfinite(found):
        raise RowError("bad number", f"{column}: {row[column]!r}")
    return found


def state_named(word: str) -> State:
    """Return STATE_HIDDEN of `hidden`, `Hidden` or `STATE_HIDDEN`; RowError of no state's name."""
    name = word.strip().lower().replace(" ", "_").replace("-", "_").removeprefix("state_")
    try:
        return _STATES[name]
    except KeyError:
        known = ", ".join(_STATES)
        raise RowError("bad state", f"{word!r} is none of {known}") from None


def time_read(value: object) -> Timestamp:
    """Return the moment of seconds since 1970 or of ISO 8601, which without a zone is UTC.

    RowError when it is neither, or lies outside the years 1 to 9999.
    """
    timestamp = Timestamp()
    try:
        if isinstance(value, str):
            value = _seconds_or_iso(value.strip())
        if isinstance(value, datetime):
            value = value if value.tzinfo else value.replace(tzinfo=UTC)
            timestamp.FromDatetime(value)
        elif isinstance(value, int | float):
            timestamp.FromNanoseconds(round(value * 1_000_000) * 1_000)
        else:
            raise ValueError("neither seconds nor ISO 8601")
        # What does not lie in the years 1 to 9999 cannot be sent; milliseconds are found here.
        timestamp.ToJsonString()
    except (ValueError, OverflowError) as error:
        raise RowError("bad timestamp", f"{value!r}: {error}") from error
    return timestamp


def _seconds_or_iso(value: str) -> float | datetime:
    try:
        return float(value)
    except ValueError:
        return datetime.fromisoformat(value)
