"""Points in time as attributes hold them: strings as RFC 3339 writes them, or dates."""

import re
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

# datetime.fromisoformat takes more than RFC 3339 has: weeks, ordinal days, times without seconds
# or offset. What is meant by those is not for us to guess.
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?P<time>[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:[Zz]|[+-][0-9]{2}:[0-9]{2}))?"
)


def microseconds_of(text: str) -> int | None:
    """Return the microseconds since the epoch that `text` stands for; None when it is no time.

    A date is its first moment in UTC. Digits beyond the microsecond are cut off.
    """
    found = _MOMENT.fullmatch(text)
    if found is None:
        return None
    try:
        moment = datetime.fromisoformat(text.upper())
    except ValueError:
        return None
    if found["time"] is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - EPOCH) // MICROSECOND
