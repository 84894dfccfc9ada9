"""The methods that value each candidate by itself, in cases that can be worked out by hand."""

import numpy as np
import pytest

from evaluation.baselines.plain import NONE, RANDOM
from evaluation.baselines.pointwise import LOG_Q, PC, RBT, popularity_compensation
from evaluation.task import Catalogue, Task

SCORES = [[0.9, 1.0, 0.5, 0.1]]


def task_of(popularity: list[float], scores: list[list[float]], k: int, seed: int = 0) -> Task:
    users, items = len(scores), len(popularity)
    return Task(
        catalogue=Catalogue(
            np.array(popularity, float), np.zeros(items, np.int8), np.zeros((items, 1), np.float32)
        ),
        k=k,
        items=np.tile(np.arange(items), (users, 1)),
        scores=np.array(scores),
        taste=np.full((users, 3), 1 / 3),
        profile_length=np.ones(users, np.int64),
        seed=seed,
    )


def test_plain_order_is_that_of_the_scores() -> None:
    task = task_of([9, 9, 9, 9, 9], [[0.2, 0.9, 0.5, 0.9, 0.1]], k=4)
    assert NONE.rerank(task, 0.0).tolist() == [[1, 3, 2, 0]]


def test_chance_depends_on_the_seed_alone_and_favours_nobody() -> None:
    scores = np.random.default_rng(0).uniform(0.1, 1, (3000, 5)).tolist()
    lists = RANDOM.rerank(task_of([1, 2, 3, 4, 5], scores, k=2, seed=7), 0.0)
    assert (lists == RANDOM.rerank(task_of([1, 2, 3, 4, 5], scores, k=2, seed=7), 0.0)).all()
    assert (lists != RANDOM.rerank(task_of([1, 2, 3, 4, 5], scores, k=2, seed=8), 0.0)).any()
    shown = np.bincount(lists.ravel(), minlength=5) / lists.size
    assert shown == pytest.approx(np.full(5, 0.2), abs=0.02)


def test_log_q_trades_score_for_popularity_at_the_stated_rate() -> None:
    # The first is twice as popular (with one added) and has twice the score: at 1 they are equal.
    task = task_of([3, 1], [[0.8, 0.4]], k=2)
    assert LOG_Q.rerank(task, 0.99).tolist() == [[0, 1]]
    assert LOG_Q.rerank(task, 1.01).tolist() == [[1, 0]]


def test_log_q_serves_what_nobody_knows() -> None:
    assert LOG_Q.rerank(task_of([0, 5], [[0.1, 1.0]], k=1), 5.0).tolist() == [[0]]


@pytest.mark.parametrize(
    ("dial", "expected"),
    [(0.0, [1, 0, 2, 3]), (0.11, [0, 1, 2, 3]), (0.5, [2, 0, 1, 3]), (1.0, [3, 2, 0, 1])],
)
def test_threshold_puts_the_least_popular_of_the_good_first(
    dial: float, expected: list[int]
) -> None:
    assert RBT.rerank(task_of([30, 40, 20, 10], SCORES, k=4), dial).tolist() == [expected]


def test_compensation_by_hand() -> None:
    popularity = np.array([99.0, 49.0, 9.0, 0.0])
    scores = np.array(SCORES[0])
    for beta in (0.0, 0.4, 1.0):
        for dial in (0.0, 0.5, 2.0):
            r = scores / np.sqrt((scores**2).mean())
            c = (beta * r + 1 - beta) / (popularity + 1)
            expected = np.argsort(-(r + dial * c / np.sqrt((c**2).mean())))
            task = task_of(popularity.tolist(), SCORES, k=4)
            assert popularity_compensation(beta)(task, dial).tolist() == [expected.tolist()]


def test_largest_compensation_is_for_the_least_popular() -> None:
    random = np.random.default_rng(1)
    popularity = (2.0 ** random.permutation(20)).tolist()
    task = task_of(popularity, random.uniform(0.3, 1, (30, 20)).tolist(), k=3)
    assert (PC.rerank(task, PC.dials[-1])[:, 0] == np.argmin(popularity)).all()
