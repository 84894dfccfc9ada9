"""Objectives such as `p99=50ms` and `errors=0.1%`: read from words, held against measurements."""

import re
from dataclasses import dataclass

from loadtest.measurements import Measurements

_SECONDS_PER_UNIT = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
_LATENCY = re.compile(r"p(\d+(?:\.\d+)?)=(\d+(?:\.\d+)?)(us|ms|s)")
_ERRORS = re.compile(r"errors=(\d+(?:\.\d+)?)%")


class ObjectiveError(ValueError):
    """An objective that cannot be read."""


@dataclass(frozen=True)
class Objective:
    """A bound on a percentile of latency in seconds or, without percentile, on the error share."""

    text: str
    percentile: float | None
    bound: float

    def is_met(self, measured: Measurements) -> bool:
        """Return whether what was measured lies within the bound."""
        if self.percentile is None:
            return measured.error_share <= self.bound
        return measured.percentile(self.percentile) <= self.bound


def parse_objective(text: str) -> Objective:
    """Read an objective; ObjectiveError says what would be one."""
    if match := _LATENCY.fullmatch(text):
        percentile, amount, unit = match.groups()
        if 0 < float(percentile) <= 100:
            return Objective(text, float(percentile), float(amount) * _SECONDS_PER_UNIT[unit])
    elif match := _ERRORS.fullmatch(text):
        return Objective(text, None, float(match[1]) / 100)
    raise ObjectiveError(f"{text!r} is no objective: write p99=50ms, p99.9=1s or errors=0.1%")
