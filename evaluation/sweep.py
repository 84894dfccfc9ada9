"""A method run at every value of its dial, and judged."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from evaluation.metrics import Judge, Measures
from evaluation.outside.failure import OutsideFailure
from evaluation.task import Family, Floats, Ints, Method, Task

# What is kept by user, for the bootstrap.
BY_USER = ("ndcg", "aplt", "tail_recall", "upd")


@dataclass(frozen=True)
class Sweep:
    """What a method showed and reached at P values of its dial.

    `by_user`: each of BY_USER, (P, U). `overall`: all metrics at each value. `shown` (P, U, k):
    catalogue positions. `failures`: a sentence for each value at which an outside method gave up.
    """

    name: str
    family: Family
    variant_of: str | None
    dials: tuple[float, ...]
    by_user: dict[str, Floats]
    overall: tuple[dict[str, float], ...]
    shown: Ints
    failures: tuple[str, ...]


def sweeps(method: Method, task: Task, judge: Judge, *, resorted: bool) -> Iterator[Sweep]:
    """Run a method, and judge its lists as it shows them and, if `resorted`, by score as well.

    Nothing comes of a method that fails at every value.
    """
    dials, lists, failures = [], [], []
    for dial in method.dials:
        try:
            lists.append(method.rerank(task, dial))
            dials.append(dial)
        except OutsideFailure as failure:
            failures.append(f"{method.name} at {dial:.3g}: {failure}")
    if not lists:
        return
    positions = np.stack(lists)
    told = tuple(failures)
    yield _judged(method.name, method.family, None, dials, positions, task, judge, told)
    if resorted:
        scores = task.scores[np.arange(len(task.items))[:, None], positions]
        order = np.argsort(-scores, axis=-1, kind="stable")
        positions = np.take_along_axis(positions, order, axis=-1)
        name = f"{method.name} re-sorted"
        yield _judged(name, method.family, method.name, dials, positions, task, judge, told)


def _judged(
    name: str,
    family: Family,
    variant_of: str | None,
    dials: list[float],
    positions: Ints,
    task: Task,
    judge: Judge,
    failures: tuple[str, ...],
) -> Sweep:
    shown = task.items[np.arange(len(task.items))[:, None], positions]
    measured: list[Measures] = [judge.measure(lists) for lists in shown]
    return Sweep(
        name,
        family,
        variant_of,
        tuple(dials),
        {metric: np.stack([m.per_user[metric] for m in measured]) for metric in BY_USER},
        tuple(dict(m.overall) for m in measured),
        shown.astype(np.int32),
        failures,
    )
