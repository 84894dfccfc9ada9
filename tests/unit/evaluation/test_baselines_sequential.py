"""The methods that remember what they have shown: FairCo and GANC with dynamic coverage."""

from dataclasses import replace

import numpy as np
import pytest
from longtail.server.ranking.popularity import Bucket

from evaluation.baselines.fairco import FAIRCO, FAIRCO_COUNTED, counted, log_discounted, merit
from evaluation.baselines.ganc import GANC, GANC_UNIFORM
from evaluation.task import Catalogue, Floats, Method, Task

SEQUENTIAL = [FAIRCO, FAIRCO_COUNTED, GANC, GANC_UNIFORM]


def random_task(seed: int, users: int, pool: int, k: int, items: int) -> Task:
    """Return pools in which the tail, two thirds of the items, scores lower."""
    random = np.random.default_rng(seed)
    bucket = np.where(np.arange(items) < items // 3, Bucket.HEAD, Bucket.TAIL).astype(np.int8)
    positions = np.stack([random.permutation(items)[:pool] for _ in range(users)])
    scores = random.uniform(0.01, 0.6, (users, pool)) + 0.4 * (bucket[positions] == Bucket.HEAD)
    return Task(
        catalogue=Catalogue(np.arange(items, 0, -1.0), bucket, np.zeros((items, 1), np.float32)),
        k=k,
        items=positions,
        scores=scores,
        taste=random.dirichlet([2, 3, 1], users),
        profile_length=random.integers(1, 50, users),
        seed=seed,
    )


def exposures(task: Task, lists: np.ndarray, places: Floats) -> Floats:
    """Return what the rest and the tail were given over all lists (2,)."""
    tail = task.catalogue.bucket[np.take_along_axis(task.items, lists, axis=1)] == Bucket.TAIL
    return np.array([(places * ~tail).sum(), (places * tail).sum()])


def reference_fairco(task: Task, dial: float, places: Floats) -> list[list[int]]:
    """Rank every pool whole, with the error as the paper writes it."""
    relevance = task.scores / task.scores.max(axis=1).mean()
    group = (task.catalogue.bucket[task.items] == Bucket.TAIL).astype(int)
    merits = [sum(relevance[group == g]) / len(group) for g in (0, 1)]
    given = np.zeros(2)
    lists = []
    for earlier, (values, groups) in enumerate(zip(relevance, group, strict=True)):
        per_merit = [given[g] / max(earlier, 1) / merits[g] for g in (0, 1)]
        errors = [earlier * max(other - per_merit[g] for other in per_merit) for g in (0, 1)]
        value = values + dial * np.array(errors)[groups]
        chosen = np.argsort(-value)[: task.k]
        for place, position in zip(places, chosen, strict=True):
            given[groups[position]] += place
        lists.append(chosen.tolist())
    return lists


@pytest.mark.parametrize(
    ("method", "places"), [(FAIRCO, log_discounted(4)), (FAIRCO_COUNTED, counted(4))]
)
def test_controller_follows_the_formula(method: Method, places: Floats) -> None:
    task = random_task(1, users=40, pool=12, k=4, items=30)
    for dial in (0.0, 1e-3, 0.02, 0.3):
        assert method.rerank(task, dial).tolist() == reference_fairco(task, dial, places)


@pytest.mark.parametrize(
    ("method", "places"), [(FAIRCO, log_discounted(10)), (FAIRCO_COUNTED, counted(10))]
)
def test_controller_brings_exposure_to_merit(method: Method, places: Floats) -> None:
    task = random_task(2, users=800, pool=60, k=10, items=300)
    wanted = merit(task) / merit(task).sum()
    given = exposures(task, method.rerank(task, 0.1), places)
    plain = exposures(task, method.rerank(task, 0.0), places)
    assert given / given.sum() == pytest.approx(wanted, abs=0.01)
    assert plain[1] / plain.sum() < wanted[1] - 0.1


def test_exposure_of_the_first_places() -> None:
    assert log_discounted(3) == pytest.approx([1, 1 / np.log2(3), 0.5])
    assert counted(3).tolist() == [1, 1, 1]


def test_merit_is_the_relevance_of_the_mean_pool() -> None:
    task = random_task(3, users=30, pool=20, k=5, items=50)
    tail = task.catalogue.bucket[task.items] == Bucket.TAIL
    ratio = task.scores[tail].sum() / task.scores[~tail].sum()
    assert merit(task)[1] / merit(task)[0] == pytest.approx(ratio)
    in_another_unit = replace(task, scores=task.scores / 50)
    assert merit(in_another_unit) == pytest.approx(merit(task))


def reference_ganc(task: Task, theta: Floats, arrival: list[int]) -> list[list[int]]:
    relevance = task.scores / task.scores.max(axis=1).mean()
    shown: dict[int, int] = {}
    lists: dict[int, list[int]] = {}
    for row in arrival:
        coverage = [1 / np.sqrt(shown.get(int(item), 0) + 1) for item in task.items[row]]
        value = (1 - theta[row]) * relevance[row] + theta[row] * np.array(coverage)
        lists[row] = np.lexsort((-relevance[row], -value))[: task.k].tolist()
        for item in task.items[row][lists[row]].tolist():
            shown[item] = shown.get(item, 0) + 1
    return [lists[row] for row in range(len(task.items))]


def test_coverage_follows_the_formula() -> None:
    task = random_task(4, users=40, pool=12, k=4, items=30)
    tail = task.taste[:, Bucket.TAIL]
    for dial in (0.0, 0.1, 0.5, 1.0):
        theta = np.minimum(1, dial * tail / tail.mean())
        by_theta = reference_ganc(task, theta, sorted(range(40), key=lambda row: tail[row]))
        assert GANC.rerank(task, dial).tolist() == by_theta
        by_arrival = reference_ganc(task, np.full(40, dial), list(range(40)))
        assert GANC_UNIFORM.rerank(task, dial).tolist() == by_arrival


def test_full_coverage_shows_everything_equally_often() -> None:
    task = random_task(5, users=90, pool=30, k=4, items=30)
    shown = np.bincount(np.take_along_axis(task.items, GANC_UNIFORM.rerank(task, 1.0), 1).ravel())
    assert shown.max() - shown.min() <= 1
    plain = np.bincount(np.take_along_axis(task.items, GANC_UNIFORM.rerank(task, 0.0), 1).ravel())
    assert plain.max() - plain.min() > 1


@pytest.mark.parametrize("method", SEQUENTIAL, ids=lambda method: method.name)
def test_nothing_is_remembered_from_one_run_to_the_next(method: Method) -> None:
    task = random_task(6, users=50, pool=20, k=5, items=60)
    dial = method.dials[len(method.dials) // 2]
    first = method.rerank(task, dial)
    method.rerank(task, method.dials[-1])
    assert (method.rerank(task, dial) == first).all()


@pytest.mark.parametrize("method", [FAIRCO, FAIRCO_COUNTED, GANC_UNIFORM], ids=lambda m: m.name)
def test_what_was_shown_before_matters(method: Method) -> None:
    task = random_task(7, users=50, pool=20, k=5, items=40)
    late = np.arange(25, 50)
    dial = 0.5
    assert (method.rerank(task, dial)[late] != method.rerank(task.rows(late), dial)).any()
