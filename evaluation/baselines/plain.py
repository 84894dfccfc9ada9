"""The two ends every re-ranker is seen against: the order of the scores, and chance."""

import numpy as np

from evaluation.task import Family, Floats, Ints, Method, Task


def best_first(values: Floats, k: int) -> Ints:
    """Return the positions (U, k) of the largest of `values` (U, n) in each row, largest first.

    Equal values keep the order in which they came.
    """
    return np.argsort(-values, axis=1, kind="stable")[:, :k]


def _by_score(task: Task, _dial: float) -> Ints:
    return best_first(task.scores, task.k)


def _at_random(task: Task, _dial: float) -> Ints:
    return best_first(np.random.default_rng(task.seed).random(task.scores.shape), task.k)


NONE = Method("none", Family.BASELINE, (0.0,), _by_score)
RANDOM = Method("random in pool", Family.BASELINE, (0.0,), _at_random)
