"""Work of many parts, in as many processes as there are cores."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, TypeVar

from evaluation.experiment import Progress

T = TypeVar("T")
# What the processes find when they are forked: it need not be sent, and may be closures over all
# that was read.
_work: list[Callable[[], Any]] = []


def each(parts: Sequence[Callable[[], T]], tell: Progress) -> list[T]:
    """Run all parts, those that come first are begun first, and return what they return."""
    _work[:] = parts
    done: list[T] = []
    try:
        with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("fork")) as pool:
            for found in pool.map(_run, range(len(parts))):
                done.append(found)
                tell(len(done), len(parts))
    finally:
        _work.clear()
    return done


def _run(at: int) -> Any:  # noqa: ANN401 (whatever the part returns)
    return _work[at]()
