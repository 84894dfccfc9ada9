"""The diversity methods: what the ends of their dial mean."""

from dataclasses import replace

import numpy as np
import pytest

from evaluation.task import Method
from tests.unit.evaluation.outside_tasks import assert_lists_of_candidates, plain, random_task

diversity = pytest.importorskip("evaluation.outside.diversity", reason="pyversity is not installed")

each_method = pytest.mark.parametrize("method", diversity.METHODS, ids=lambda method: method.name)


@each_method
def test_every_dial_gives_lists_of_candidates(method: Method) -> None:
    task = random_task(users=5)
    for dial in method.dials:
        assert_lists_of_candidates(task, method.rerank(task, dial))


@each_method
def test_dial_zero_is_the_plain_order(method: Method) -> None:
    task = random_task()
    np.testing.assert_array_equal(method.rerank(task, 0.0), plain(task))


@each_method
def test_dial_one_shows_one_item_of_each_kind(method: Method) -> None:
    task = random_task(users=1, pool=12, items=12, k=4)
    kind = np.repeat(np.arange(4), 3)[task.items]
    alike = replace(task.catalogue, vectors=np.repeat(np.eye(4, dtype=np.float32), 3, axis=0))
    task = replace(task, catalogue=alike, scores=1 - kind / 5 - 0.01 * np.arange(12))
    assert kind[0, method.rerank(task, 0.0)].tolist() == [[0, 0, 0, 1]]
    assert sorted(kind[0, method.rerank(task, 1.0)][0]) == [0, 1, 2, 3]


@each_method
def test_the_unit_of_the_scores_does_not_matter(method: Method) -> None:
    task = random_task(users=5)
    small = replace(task, scores=task.scores / 64)
    np.testing.assert_array_equal(method.rerank(task, 0.3), method.rerank(small, 0.3))
