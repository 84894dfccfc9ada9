"""Where the dials of the published methods are set, and the unit of relevance they refer to."""

import numpy as np

from evaluation.task import Floats, Task


def relevance(task: Task) -> Floats:
    """Return the scores (U, n) divided by the mean over the requests of the best score.

    Methods that set relevance against a bonus of a fixed size depend on the scale of the scores
    only through where the dial stands: dividing all scores by one number moves it along the same
    curve. So one set of dial values serves raw scores and small probabilities alike.
    """
    values: Floats = task.scores / task.scores.max(axis=1).mean()
    return values


def factors(mildest: float, strongest: float, count: int) -> tuple[float, ...]:
    """Return zero and `count` factors in geometric steps from `mildest` to `strongest`."""
    return 0.0, *np.geomspace(mildest, strongest, count).tolist()


def mixtures(mildest: float, strongest: float, count: int) -> tuple[float, ...]:
    """Return 0, `count` weights w and 1, for objectives of the form (1 - w) relevance + w bonus.

    w / (1 - w), the price of the bonus, goes in geometric steps from `mildest` to `strongest`.
    """
    odds = np.geomspace(mildest, strongest, count)
    return 0.0, *(odds / (1 + odds)).tolist(), 1.0
