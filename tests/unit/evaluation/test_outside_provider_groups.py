"""The methods of fairdiverse that see groups: the small matrix against the full one."""

from dataclasses import replace

import numpy as np
import pytest

from evaluation.baselines.dials import relevance
from evaluation.task import Catalogue, Method, Task
from tests.unit.evaluation.outside_tasks import (
    assert_lists_of_candidates,
    plain,
    random_task,
    tail_share,
)

groups = pytest.importorskip(
    "evaluation.outside.provider_groups", reason="fairdiverse, cvxpy or torch is not installed"
)

BY_NAME = {method.name: method for method in groups.METHODS}
each_method = pytest.mark.parametrize("method", groups.METHODS, ids=lambda method: method.name)


def without_enough_tail(task: Task) -> Task:
    """Return the task with three tail candidates at most in each pool."""
    bucket = np.zeros_like(task.catalogue.bucket)
    bucket[np.argsort(task.catalogue.popularity)[:10]] = 2
    return replace(
        task, catalogue=Catalogue(task.catalogue.popularity, bucket, task.catalogue.vectors)
    )


@each_method
def test_lists_are_of_candidates_with_plenty_of_tail_and_with_little(method: Method) -> None:
    for task in (random_task(users=8), without_enough_tail(random_task(users=8))):
        for dial in (method.dials[0], method.dials[len(method.dials) // 2], method.dials[-1]):
            assert_lists_of_candidates(task, method.rerank(task, dial))


@pytest.mark.parametrize("name", ["CPFair", "min-regularizer", "P-MMF", "Welf", "k-neighbor"])
def test_dial_zero_is_the_plain_order(name: str) -> None:
    task = random_task(users=8)
    np.testing.assert_array_equal(BY_NAME[name].rerank(task, 0.0), plain(task))


@pytest.mark.parametrize("name", ["CPFair", "min-regularizer", "P-MMF", "FairSync"])
def test_the_strongest_dial_comes_close_to_half_of_the_places(name: str) -> None:
    task = random_task(users=80)
    method = BY_NAME[name]
    assert tail_share(task, plain(task)) < 0.3
    assert tail_share(task, method.rerank(task, method.dials[-1])) == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize(
    ("name", "reranker", "settings"),
    [
        ("CPFair", "CPFair", {"lambda": 0.3}),
        ("min-regularizer", "min_regularizer", {"lambda": 0.3}),
        ("FairSync", "FairSync", {"minimum_exposure": 0.3 * 8 * 10, "learning_rate": 0.01}),
        ("Welf", "Welf", {"lambda": 0.3, "alpha1": 0.8, "alpha2": 3, "iter_num": 30}),
        # The step is the rate by the root of the columns, here 200 instead of 20.
        ("P-MMF", "PMMF", {"lambda": 0.3, "gamma": 0.2, "learning_rate": np.sqrt(200 / 8)}),
    ],
)
def test_the_slots_say_the_same_as_a_matrix_of_all_items(
    name: str, reranker: str, settings: dict[str, float]
) -> None:
    task = random_task(users=8)
    bucket = task.catalogue.bucket
    matrix = np.full((len(task.items), len(bucket)), 0.0 if name == "Welf" else groups.NEVER)
    np.put_along_axis(matrix, task.items, relevance(task), axis=1)
    membership = np.stack([bucket != 2, bucket == 2], axis=1).astype(float)
    catalogue_lists = groups.rerank(groups.load(reranker), matrix, membership, task.k, **settings)

    lists = BY_NAME[name].rerank(task, 0.3)
    assert (lists != plain(task)).any()
    np.testing.assert_array_equal(np.take_along_axis(task.items, lists, axis=1), catalogue_lists)


def test_welf_fills_a_list_with_the_best_of_those_left() -> None:
    task = without_enough_tail(random_task(users=8))
    lists = BY_NAME["Welf"].rerank(task, 0.3)
    scores = np.take_along_axis(task.scores, lists, axis=1)
    assert (np.diff(scores, axis=1) <= 0).all()
    tail = task.catalogue.bucket[task.items] == 2
    for row, of_one in enumerate(lists):
        shown = tail[row, of_one].sum()
        best_others = np.sort(task.scores[row][~tail[row]])[::-1][: task.k - shown]
        assert sorted(task.scores[row, of_one[~tail[row, of_one]]]) == sorted(best_others)


def test_k_neighbor_at_its_strongest_serves_one_band_after_the_other() -> None:
    task = random_task(users=groups.BANDS, pool=200, items=200)
    items = np.take_along_axis(task.items, BY_NAME["k-neighbor"].rerank(task, 19.0), axis=1)
    # All items are in every pool and each band holds ten: everyone is given a band of their own.
    assert np.unique(items).size == 200
