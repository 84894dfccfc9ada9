"""How figures are written for people; what does not exist is a dash."""

import math

from evaluation.significance import Difference, Estimate

ABSENT = "–"


def plain(value: float | None) -> str:
    """Write a metric: four decimals below ten, one above."""
    if value is None or not math.isfinite(value):
        return ABSENT
    return _signed(f"{value:.4f}" if abs(value) < 10 else f"{value:,.1f}")


def area(value: float) -> str:
    """Write a hypervolume, which is a product of two metrics: five decimals."""
    return _signed(f"{value:.5f}") if math.isfinite(value) else ABSENT


def short(value: float | None) -> str:
    """Write a number as short as it goes: settings, dials, milliseconds, tiny differences."""
    return ABSENT if value is None or not math.isfinite(value) else _signed(f"{value:.4g}")


def percent(share: float) -> str:
    """Write a share."""
    return f"{100 * share:.4g} %"


def interval(estimate: Estimate) -> str:
    """Write the interval of a metric."""
    return _between(plain(estimate.low), plain(estimate.high))


def area_interval(estimate: Estimate) -> str:
    """Write the interval of a hypervolume or a difference of two."""
    return _between(area(estimate.low), area(estimate.high))


def probability(difference: Difference) -> str:
    """Write the p-value after Holm's correction."""
    return f"{difference.adjusted:.4f}"


def _between(low: str, high: str) -> str:
    return ABSENT if ABSENT in (low, high) else f"[{low}, {high}]"


def _signed(text: str) -> str:
    # A minus as wide as a plus; a hyphen is lost between digits.
    return text.replace("-", "−", 1) if text.startswith("-") else text
