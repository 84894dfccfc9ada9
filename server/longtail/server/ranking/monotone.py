"""Cubic interpolation that rises where its points rise and nowhere overshoots them.

Fritsch and Butland, "A Method for Constructing Local Monotone Piecewise Cubic Interpolants" (SIAM
Journal on Scientific and Statistical Computing, 1984): the slope at a point is a harmonic mean of
those beside it, and zero where they disagree.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# So many times the slope of a step a curve may have at its end without leaving the step.
STEEPEST = 3.0


def monotone_slopes(at: Floats, values: Floats) -> Floats:
    """Return the slope of each column of `values` (p, c) at `at` (p,), ascending, as (p, c)."""
    steps = np.diff(at)[:, None]
    secants = np.diff(values, axis=0) / steps
    if len(secants) == 1:
        return np.concatenate((secants, secants))
    before, after = secants[:-1], secants[1:]
    early, late = steps[:-1], steps[1:]
    same = before * after > 0
    left, right = 2 * late + early, late + 2 * early
    inverse = left / np.where(same, before, 1.0) + right / np.where(same, after, 1.0)
    within = np.where(same, (left + right) / inverse, 0.0)
    first = _end(steps[0], steps[1], secants[0], secants[1])
    last = _end(steps[-1], steps[-2], secants[-1], secants[-2])
    return np.concatenate((first[None], within, last[None]))


def monotone_value(at: Floats, values: Floats, slopes: Floats, wanted: float) -> Floats:
    """Return each column (c,) at `wanted`; beyond the first and last of `at` it is theirs."""
    step = min(max(int(at.searchsorted(wanted, side="right")) - 1, 0), len(at) - 2)
    width = at[step + 1] - at[step]
    t = min(max((wanted - at[step]) / width, 0.0), 1.0)
    rest = 1 - t
    value: Floats = (
        (1 + 2 * t) * rest * rest * values[step]
        + t * t * (3 - 2 * t) * values[step + 1]
        + t * rest * width * (rest * slopes[step] - t * slopes[step + 1])
    )
    return value


def _end(step: Floats, beside: Floats, secant: Floats, other: Floats) -> Floats:
    """Return the slope at an end: of the parabola through three points, as far as that may go."""
    slope = ((2 * step + beside) * secant - step * other) / (step + beside)
    slope = np.where(slope * secant <= 0, 0.0, slope)
    steepest: Floats = np.where(
        (secant * other <= 0) & (np.abs(slope) > STEEPEST * np.abs(secant)),
        STEEPEST * secant,
        slope,
    )
    return steepest
