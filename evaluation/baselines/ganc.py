"""GANC with dynamic coverage: what has been shown often is worth less to the next person.

Zolaktaf, Babanezhad and Pottinger, "A Generic Top-N Recommendation Framework for Trading-off
Accuracy, Novelty, and Coverage" (ICDE 2018). A person's list maximises
(1 - theta) * relevance + theta * coverage, where an item's coverage is 1 / sqrt(f + 1) after f
lists that held it. People are served one after the other, by increasing theta: those who like the
tail least come first, so that what is left to be covered falls to those who like it. The paper
serves a sample in this way to save time; here everybody is.
"""

import numpy as np
from longtail.server.ranking.popularity import Bucket

from evaluation.baselines.dials import factors, mixtures, relevance
from evaluation.task import Family, Floats, Ints, Method, Task


def _serve(task: Task, theta: Floats, arrival: Ints) -> Ints:
    values = relevance(task)
    # Candidates of equal value are taken in the order of relevance.
    order = np.argsort(-values, axis=1, kind="stable")
    values = np.take_along_axis(values, order, axis=1)
    items = np.take_along_axis(task.items, order, axis=1)
    shown = np.zeros(len(task.catalogue.popularity))
    places = np.empty((len(values), task.k), np.int64)
    for row in arrival:
        coverage = 1 / np.sqrt(shown[items[row]] + 1)
        value = (1 - theta[row]) * values[row] + theta[row] * coverage
        places[row] = np.argsort(-value, kind="stable")[: task.k]
        shown[items[row, places[row]]] += 1
    return np.take_along_axis(order, places, axis=1)


def _personal(task: Task, dial: float) -> Ints:
    tail = task.taste[:, Bucket.TAIL]
    # Where nobody likes the tail, theta is zero for all.
    theta = np.minimum(1, dial * tail / np.maximum(tail.mean(), np.finfo(float).tiny))
    return _serve(task, theta, np.argsort(tail, kind="stable"))


def _uniform(task: Task, dial: float) -> Ints:
    users = len(task.items)
    return _serve(task, np.full(users, dial), np.arange(users))


# theta is the share of the tail in what the person liked. The paper has no dial; here it multiplies
# theta, in units of the mean person's.
GANC = Method("GANC-Dyn", Family.BASELINE, factors(0.01, 10, 47), _personal)
# One theta for all, in the order of arrival.
GANC_UNIFORM = Method("GANC-Dyn uniform", Family.BASELINE, mixtures(0.01, 10, 46), _uniform)
