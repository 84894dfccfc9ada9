"""What a piece of plain text means: a number, a truth value, a time, or just text.

Imports, filters and updates read text by the same rules, so that what an import made a number is
found by a filter that says the same digits.
"""

import json
import re
from datetime import UTC, datetime

from longtail.client.calls.attributes import MAX_INTEGER

# Codes such as 007 and numbers that a double cannot hold stay text.
_WHOLE = re.compile(r"-?(0|[1-9]\d{0,15})")
_NUMBER = re.compile(r"-?(0|[1-9]\d{0,14})(\.\d+)?([eE][+-]?\d{1,2})?")
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}([Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2}))?")
_FLAGS = {"true": True, "false": False}


def number(text: str) -> float | None:
    """Return the number that a text is, None when it is none."""
    if _WHOLE.fullmatch(text):
        whole = int(text)
        return whole if abs(whole) <= MAX_INTEGER else None
    return float(text) if _NUMBER.fullmatch(text) else None


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
    """Return True of `true` and False of `false`, else None."""
    return _FLAGS.get(text)


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
