"""Reads the values of a row, by one rule for all kinds of files.

Ids are text or whole numbers. Texts are text, numbers or lists of texts. Null, NaN, the empty text
and what programs write in its place are missing. Bytes are text in UTF-8. Whatever else stands
there is refused by name.
"""

import math
import re
import struct
from base64 import b64decode
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from longtail.v1.item_pb2 import STATE_ACTIVE, STATE_HIDDEN, STATE_IN_REVIEW, State

_STATES: dict[str, State] = {
    "active": STATE_ACTIVE,
    "hidden": STATE_HIDDEN,
    "in_review": STATE_IN_REVIEW,
}
# A whole number on its way through a data frame.
_WHOLE = re.compile(r"-?\d+\.0+")
# A long one on its way through a spreadsheet: others have become the same.
_ROUNDED = re.compile(r"\d[.,]\d+E\+\d+")
# What data frames, databases and spreadsheets write where there is nothing; some of it is also a
# word, and a name that things have.
_NOTHING = {"NaT", "<NA>", "#N/A", r"\N"}
_NO_VALUE = _NOTHING | {"nan", "NaN", "NAN", "NULL", "null"}
PARAGRAPHS = "\n"


# Python's and numpy's.
_FLAGS = {"bool", "bool_"}


class RowError(Exception):
    """A row that cannot be used; `reason` is one of a few, `detail` says more."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


def identifier(row: Mapping[str, Any], column: str | None, what: str, numbers: bool = False) -> str:
    """Return the id in a column; RowError when it is missing, or no text and no whole number.

    7.0 is the id 7; 9.78044E+12 is none any more. `numbers`: the others are numbers, so that a word
    for nothing is none.
    """
    value = row.get(column) if column else None
    if type(value) is bytes:
        value = _decoded(value, column)
    if type(value) is str:
        text = _present(value)
        if numbers and text in _NO_VALUE:
            text = ""
        elif _WHOLE.fullmatch(text):
            text = text.partition(".")[0]
        elif "E+" in text and _ROUNDED.fullmatch(text):
            raise RowError(f"bad {what}", f"{column}: a spreadsheet rounded it to {text}")
    elif value is None or (isinstance(value, float | Decimal) and math.isnan(value)):
        text = ""
    elif type(value) is int or (isinstance(value, float | Decimal) and value == int_of(value)):
        text = str(int(value))
    else:
        raise RowError(f"bad {what}", f"{column}: {_named(value)} is neither text nor whole number")
    if not text:
        raise RowError(f"missing {what}")
    return text


def text(row: Mapping[str, Any], column: str | None) -> str:
    """Return what a column holds as text, empty where there is no column or nothing in it.

    Paragraphs are joined. RowError when it is neither text nor a number.
    """
    value = row.get(column) if column else None
    if type(value) is str:
        return _present(value)
    if value is None:
        return ""
    if type(value) is bytes:
        return _present(_decoded(value, column))
    if isinstance(value, list | tuple):
        name = str(column)
        return PARAGRAPHS.join(filter(None, (text({name: each}, name) for each in value)))
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        if isinstance(value, float | Decimal) and math.isnan(value):
            return ""
        return str(int(value)) if value == int_of(value) else str(value)
    raise RowError("bad text", f"{column}: {_named(value)} is no text")


def required(row: Mapping[str, Any], column: str, what: str) -> str:
    """Return the text in a column; RowError, which says what is missing, when it is empty."""
    found = text(row, column)
    if not found:
        raise RowError(f"missing {what}")
    return found


def number(row: Mapping[str, Any], column: str) -> float:
    """Return the finite number in a column; RowError when it is none."""
    value = row[column]
    try:
        # Python takes 1_000 for a number.
        none = isinstance(value, bool) or (isinstance(value, str) and "_" in value)
        found = math.nan if none else float(value)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise RowError("bad number", f"{column}: {value!r}")
    return found


def is_missing(value: object) -> bool:
    """Whether a value says nothing: null, NaN, or a text that is empty or says so."""
    if isinstance(value, str):
        return not value or value.isspace() or value in _NO_VALUE
    return value is None or (isinstance(value, float | Decimal) and math.isnan(value))


def is_number(value: object) -> bool:
    """Whether a value is a number, or a text that is a whole one."""
    if isinstance(value, str):
        text = value.strip()
        return text.removeprefix("-").isdigit() or _WHOLE.fullmatch(text) is not None
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def vector(row: Mapping[str, Any], column: str) -> bytes:
    """Return the vector in a column as float32: of a list of finite numbers, or base64 of that.

    RowError when it is none.
    """
    value = row[column]
    try:
        if isinstance(value, str) and not value.lstrip().startswith("["):
            return _float32(value)
        if isinstance(value, str):
            numbers: Sequence[Any] = [float(each) for each in value.strip()[1:-1].split(",")]
        elif isinstance(value, list | tuple) or hasattr(value, "__array__"):
            numbers = list(value)
        else:
            raise ValueError(f"{_named(value)} is no list of numbers")
        # Python takes a truth value for a number.
        other = [each for each in numbers if type(each).__name__ in _FLAGS]
        if other:
            raise ValueError(f"{_named(bool(other[0]))} is no number")
        if not all(map(math.isfinite, numbers)):
            raise ValueError("a number is not finite")
        return struct.pack(f"<{len(numbers)}f", *numbers)
    except (ValueError, TypeError, OverflowError, struct.error) as error:
        raise RowError("bad vector", f"{column}: {error}") from error


def _float32(text: str) -> bytes:
    try:
        found = b64decode(text, validate=True)
    except ValueError:
        found = b""
    if not found or len(found) % 4:
        raise ValueError(f"{text!r:.80} is neither a list of numbers nor base64 of float32")
    return found


def state_named(word: str) -> State:
    """Return STATE_HIDDEN of `hidden`, `Hidden` or `STATE_HIDDEN`; RowError of no state's name."""
    name = word.strip().lower().replace(" ", "_").replace("-", "_").removeprefix("state_")
    try:
        return _STATES[name]
    except KeyError:
        known = ", ".join(_STATES)
        raise RowError("bad state", f"{word!r} is none of {known}") from None


def int_of(value: float | Decimal) -> int | None:
    """Return the whole part of a number; None of what has none."""
    return int(value) if math.isfinite(value) else None


def _present(value: str) -> str:
    text = value.strip()
    return "" if text in _NOTHING else text


def _decoded(value: bytes, column: str | None) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise RowError("not UTF-8", f"{column}: {error.reason}") from error


def _named(value: object) -> str:
    """Return what kind of thing a value is, for people."""
    kinds = {
        bool: "a truth value",
        dict: "an object",
        list: "a list",
        float: "a fraction",
        Decimal: "a fraction",
    }
    return kinds.get(type(value), type(value).__name__)
