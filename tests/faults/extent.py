"""How far the faults are gone through: in a short form always, in full when asked for."""

import os
from typing import TypeVar

T = TypeVar("T")

VARIABLE = "LONGTAIL_FAULTS"
FULL = os.environ.get(VARIABLE) == "full"
# The longest that one test of the full form may take.
FULL_SECONDS = 3600


def extent(short: T, full: T) -> T:
    """Return what the form that runs has: `LONGTAIL_FAULTS=full` asks for the full one."""
    return full if FULL else short
