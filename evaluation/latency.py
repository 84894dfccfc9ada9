"""How long one request takes to be ranked."""

import time
from collections.abc import Callable

import numpy as np

from evaluation.report.results import Latency
from evaluation.task import Method, Task

# Requests timed for a method, one at a time, after so many that warm it up.
TIMED, WARMING = 100, 5


def of_method(method: Method, task: Task) -> Latency:
    """Time a method on single requests, at the middle of its dial."""
    dial = method.dials[len(method.dials) // 2]
    rows = [task.rows(np.array([at])) for at in range(min(TIMED, len(task.items)))]
    return _timed(method.name, task, lambda at: method.rerank(rows[at], dial), len(rows))


def _timed(name: str, task: Task, run: Callable[[int], object], count: int) -> Latency:
    for at in range(min(WARMING, count)):
        run(at)
    taken = []
    for at in range(count):
        started = time.perf_counter()
        run(at)
        taken.append(time.perf_counter() - started)
    p50, p99 = np.percentile(np.array(taken) * 1e3, [50, 99])
    return Latency(name, task.items.shape[1], task.k, float(p50), float(p99))
