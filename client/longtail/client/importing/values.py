"""Reads the values of a row that are neither text nor number: states and times."""

from datetime import UTC, datetime

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
