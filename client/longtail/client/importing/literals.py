"""What a piece of plain text means: a number, a truth value, a time, or just text.

Imports, filters and updates read text by the same rules, so that what an import made a number is
found by a filter that says the same digits.
"""

import ast
import json
import re
import warnings
from datetime import UTC, datetime
from typing import Any

from longtail.client.calls.attributes import MAX_INTEGER

# Codes such as 007 and numbers that a double cannot hold stay text.
WHOLE = re.compile(r"0|-?[1-9]\d{0,15}")
DECIMAL = re.compile(r"-?(?:0|[1-9]\d{0,14})\.(\d+)")
# Characters of a number that a double holds with all of its digits, and zeros behind them.
MAX_DECIMAL = 16
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}([Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2}))?")
_FLAGS = {"true": True, "false": False}


def number(text: str) -> float | None:
    """Return the number that a text is, None when it is none, or would change in writing it back.

    A zero at the end of a fraction is no change: 3.50 is one.
    """
    if WHOLE.fullmatch(text):
        whole = int(text)
        return whole if abs(whole) <= MAX_INTEGER else None
    if is_written_so(text) or (DECIMAL.fullmatch(text) and len(text) <= MAX_DECIMAL):
        return float(text)
    return None


def is_written_so(text: str) -> bool:
    """Whether a text is a number with a fraction, as Python writes it."""
    try:
        return repr(float(text)) == text and text not in ("inf", "-inf", "nan")
    except ValueError:
        return False


def time(text: str) -> datetime | None:
    """Return the time that a text is by RFC 3339, a date being its first moment in UTC, or None."""
    if not _TIME.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text.upper())
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def flag(text: str) -> bool | None:
    """Return True of `true` and False of `false`, in any case; else None."""
    return _FLAGS.get(text.lower())


def python(text: str) -> Any:  # noqa: ANN401 (whatever it is)
    """Return the value that a text is as Python writes it; None when it is none."""
    with warnings.catch_warnings():
        # Of escapes that Python does not know.
        warnings.simplefilter("ignore")
        try:
            return ast.literal_eval(text)
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            return None


def attribute(text: str) -> str | bool | float:
    """Return what a text means as the value of an attribute, which has no type for times."""
    for read in (flag, number):
        value = read(text)
        if value is not None:
            return value
    return text


def literal(text: str) -> str | bool | float | datetime:
    """Return what a text means; a JSON string in quotes is its content. ValueError when broken."""
    if text.startswith('"'):
        try:
            quoted: str = json.loads(text)
        except ValueError as error:
            raise ValueError(f"{text} is no JSON string") from error
        return quoted
    for read in (flag, number, time):
        value = read(text)
        if value is not None:
            return value
    return text
