"""From messages to validated values. What is wrong is named by field, and nothing was changed."""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np
from google.protobuf import timestamp_pb2
from longtail.runtime.errors import InvalidArgument, Violation
from longtail.server.process.pseudonyms import Pseudonyms
from longtail.server.rpc.tokens.recommendation import TokenCodec
from longtail.server.store.clock import now
from longtail.server.store.records import FLOAT32, Interaction, Vector
from longtail.v1 import interaction_service_pb2

M = TypeVar("M")
V = TypeVar("V")

MAX_ID = 256
MAX_QUERY = 4000
MAX_TYPE = 64
MAX_VALUE = 1000.0
MAX_BATCH = 1000
# In microseconds.
DAY = 24 * 3600 * 10**6

# How far rounding to float32 may bring a vector from unit length.
ROUNDING = 1e-6


def check_id(field: str, value: str, limit: int = MAX_ID) -> str:
    """Return an id, or another name that is compared and not read, of 1 to `limit` characters."""
    _check_length(field, value, 1, limit)
    # Few are not printable; of those some join emoji, or are spaces in another script.
    if not value.isprintable() and any(unicodedata.category(each) == "Cc" for each in value):
        raise InvalidArgument(Violation(field, "holds a control character"))
    return value


def check_text(field: str, value: str, limit: int) -> str:
    """Return a text that may be empty, but neither blank nor over `limit` characters.

    NUL is none of a text: not every store can hold it.
    """
    _check_length(field, value, 0, limit)
    if "\0" in value:
        raise InvalidArgument(Violation(field, "holds a NUL character"))
    if value and not value.strip():
        raise InvalidArgument(Violation(field, "is blank"))
    return value


def check_number(field: str, value: float, low: float, high: float) -> float:
    """Return a number in low .. high."""
    # Written so that NaN, which compares false with everything, is refused too.
    if not low <= value <= high:
        raise InvalidArgument(Violation(field, f"is {told(value)}, not in {low:g} to {high:g}"))
    return value


def told(number: float) -> str:
    """Return a number with all its digits: rounded, 1000.0001 would not be over 1000."""
    return str(number).removesuffix(".0")


def check_page_size(value: int, *, default: int, limit: int) -> int:
    """Return a page size: zero is the default, too much is the limit."""
    if value < 0:
        raise InvalidArgument(Violation("page_size", f"is {value}, below zero"))
    return min(value or default, limit)


def check_batch(field: str, elements: Sequence[object], limit: int = MAX_BATCH) -> None:
    """Refuse an empty batch, and one of more than `limit`, as a whole."""
    if not 1 <= len(elements) <= limit:
        raise InvalidArgument(Violation(field, f"holds {len(elements)} elements, not 1 to {limit}"))


def check_unique(ids: Mapping[str, str]) -> None:
    """Refuse ids, by their fields, one of which comes twice; an empty one is wrong by itself."""
    first: dict[str, str] = {}
    for field, value in ids.items():
        if value and first.setdefault(value, field) != field:
            parent = first[value].removesuffix(".id")
            raise InvalidArgument(Violation(field, f"is that of {parent} too"))


def unit_vector(field: str, data: bytes, dimension: int) -> Vector:
    """Return the vector (d,) in `data`, brought to unit length."""
    if len(data) != dimension * FLOAT32.itemsize:
        raise InvalidArgument(
            Violation(
                field,
                f"is {len(data)} bytes, not {dimension * FLOAT32.itemsize} "
                f"({dimension} little-endian float32)",
            )
        )
    vector = np.frombuffer(data, FLOAT32).astype(np.float64)
    if not np.isfinite(vector).all():
        raise InvalidArgument(Violation(field, "holds NaN or infinity"))
    norm = float(np.linalg.norm(vector))
    if norm == 0:
        raise InvalidArgument(Violation(field, "is all zero"))
    # What was brought to it before stays as it is, to the bit: an export can be imported again.
    return (vector if abs(norm - 1) < ROUNDING else vector / norm).astype(np.float32)


def microseconds(field: str, value: timestamp_pb2.Timestamp) -> int:
    """Return a moment as microseconds since the epoch."""
    try:
        return value.ToMicroseconds()
    except ValueError as error:
        raise InvalidArgument(Violation(field, f"is no time: {error}")) from None


def interaction(
    message: interaction_service_pb2.Interaction,
    tokens: TokenCodec,
    pseudonyms: Pseudonyms,
    kept_days: float,
) -> Interaction:
    """Return the interaction to be recorded. One from over `kept_days` ago is refused, if not 0.

    A recommendation_token that is none of `tokens` is left out: what happened has happened.
    """
    token = message.recommendation_token
    if token and tokens.decode(token) is None:
        token = ""
    value = message.value if message.HasField("value") else 1.0
    return Interaction(
        event_id=check_id("event_id", message.event_id),
        user_id=pseudonyms(check_id("user_id", message.user_id)),
        item_id=check_id("item_id", message.item_id),
        type=check_id("type", message.type, MAX_TYPE),
        value=check_number("value", value, -MAX_VALUE, MAX_VALUE),
        time=_time(message, kept_days),
        query=check_text("query", message.query, MAX_QUERY),
        recommendation_token=token,
    )


def _time(message: interaction_service_pb2.Interaction, kept_days: float) -> int:
    moment = now()
    if not message.HasField("time"):
        return moment
    time = microseconds("time", message.time)
    if kept_days and time < moment - kept_days * DAY:
        problem = f"is over {kept_days:g} days ago, for which interactions are kept"
        raise InvalidArgument(Violation("time", f"{problem} (LONGTAIL_INTERACTION_DAYS)"))
    return time


def each(
    field: str, messages: Sequence[M], validate: Callable[[M], V]
) -> tuple[list[V], dict[int, InvalidArgument]]:
    """Validate each of `messages` by itself.

    Returns the valid ones, and what is wrong with the others by position, seen from their request.
    """
    valid: list[V] = []
    wrong: dict[int, InvalidArgument] = {}
    for position, message in enumerate(messages):
        try:
            valid.append(validate(message))
        except InvalidArgument as error:
            wrong[position] = error.inside(f"{field}[{position}]")
    return valid, wrong


def _check_length(field: str, value: str, low: int, high: int) -> None:
    if not low <= len(value) <= high:
        problem = "is empty" if not value else f"is {len(value)} characters, over {high}"
        raise InvalidArgument(Violation(field, problem))
