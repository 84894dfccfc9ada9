"""Numbers and moments as they are written in files; None for what is neither."""

import math
from datetime import UTC, datetime

# As seconds this is the year 5138, as milliseconds 1973.
_TOO_LATE = 1e11


def number(text: str) -> float | None:
    """Read a finite number."""
    try:
        value = float(text)
    except ValueError:
        return None
    # To Python 2020_01_31 is a number too.
    return value if math.isfinite(value) and "_" not in text else None


def seconds(text: str) -> float | None:
    """Read a moment, in seconds since 1970: a number, or ISO 8601, in UTC where no zone is given.

    A number that lies thousands of years ahead is in milliseconds, or thousandths of those.
    """
    value = number(text)
    if value is not None:
        while abs(value) >= _TOO_LATE:
            value /= 1000
        return value
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
