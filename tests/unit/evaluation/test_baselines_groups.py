"""The greedy methods against a walk over all candidates, and where they must end up."""

from collections.abc import Callable

import numpy as np
import pytest
from longtail.server.ranking.popularity import Bucket

from evaluation.baselines.calibration import (
    CALIBRATED_POPULARITY,
    SMOOTHING,
    STECK,
    jensen_shannon,
    smoothed_kullback_leibler,
)
from evaluation.baselines.xquad import PFAR, XQUAD_BINARY, XQUAD_SMOOTH
from evaluation.task import Catalogue, Method, Task

# From the taste, the buckets of the list so far and the bucket of a candidate to its bonus.
CandidateBonus = Callable[[np.ndarray, list[int], int], float]


def random_task(seed: int, users: int, pool: int, k: int) -> Task:
    random = np.random.default_rng(seed)
    items = 3 * pool
    catalogue = Catalogue(
        popularity=random.integers(0, 50, items).astype(float),
        bucket=random.integers(0, 3, items).astype(np.int8),
        vectors=np.zeros((items, 1), np.float32),
    )
    return Task(
        catalogue=catalogue,
        k=k,
        items=np.stack([random.permutation(items)[:pool] for _ in range(users)]),
        scores=random.uniform(0.01, 1, (users, pool)),
        taste=random.dirichlet([2, 3, 1], users),
        profile_length=random.integers(1, 50, users),
        seed=seed,
    )


def share_of(group: int, taste: np.ndarray) -> float:
    return float(taste[Bucket.TAIL] if group else 1 - taste[Bucket.TAIL])


def xquad_binary(taste: np.ndarray, held: list[int], bucket: int) -> float:
    group = int(bucket == Bucket.TAIL)
    held_groups = {int(b == Bucket.TAIL) for b in held}
    return 0.0 if group in held_groups else share_of(group, taste)


def xquad_smooth(taste: np.ndarray, held: list[int], bucket: int) -> float:
    group = int(bucket == Bucket.TAIL)
    same = sum((b == Bucket.TAIL) == group for b in held)
    return share_of(group, taste) * (1 - same / max(len(held), 1))


def pfar(taste: np.ndarray, held: list[int], bucket: int) -> float:
    return 0.0 if bucket in held else float(-sum(p * np.log(p) for p in taste))


def jensen_shannon_bonus(taste: np.ndarray, held: list[int], bucket: int) -> float:
    q = np.bincount([*held, bucket], minlength=3) / (len(held) + 1)
    middle = (taste + q) / 2
    terms = [p * np.log2(p / m) for p, m in zip(taste, middle, strict=True)]
    terms += [p * np.log2(p / m) for p, m in zip(q, middle, strict=True) if p > 0]
    return -float(sum(terms)) / 2


def steck_bonus(taste: np.ndarray, held: list[int], bucket: int) -> float:
    q = np.bincount([*held, bucket], minlength=3) / (len(held) + 1)
    q = (1 - SMOOTHING) * q + SMOOTHING * taste
    return -float((taste * np.log(taste / q)).sum())


def greedy_over_all_candidates(task: Task, dial: float, bonus: CandidateBonus) -> list[list[int]]:
    relevance = task.scores / task.scores.max(axis=1).mean()
    lists = []
    for row, items in enumerate(task.items):
        buckets = task.catalogue.bucket[items]
        chosen: list[int] = []
        for _ in range(task.k):
            held = [int(buckets[position]) for position in chosen]
            values = {
                position: (1 - dial) * relevance[row, position]
                + dial * bonus(task.taste[row], held, int(buckets[position]))
                for position in range(len(items))
                if position not in chosen
            }
            chosen.append(max(values, key=lambda p: (round(values[p], 12), relevance[row, p])))
        lists.append(chosen)
    return lists


@pytest.mark.parametrize(
    ("method", "bonus"),
    [
        (XQUAD_BINARY, xquad_binary),
        (XQUAD_SMOOTH, xquad_smooth),
        (PFAR, pfar),
        (CALIBRATED_POPULARITY, jensen_shannon_bonus),
        (STECK, steck_bonus),
    ],
    ids=lambda case: case.name if isinstance(case, Method) else "",
)
def test_each_step_takes_the_best_of_all_candidates(method: Method, bonus: CandidateBonus) -> None:
    for seed in range(6):
        task = random_task(seed, users=4, pool=5 + seed, k=5)
        for dial in (0.0, 0.1, 0.4, 0.7, 0.95, 1.0):
            expected = greedy_over_all_candidates(task, dial, bonus)
            assert method.rerank(task, dial).tolist() == expected


def test_first_item_of_each_group_is_all_that_the_binary_methods_reward() -> None:
    task = random_task(3, users=50, pool=60, k=10)
    buckets = task.catalogue.bucket[task.items]
    plain = np.argsort(-task.scores, axis=1)
    lists = XQUAD_BINARY.rerank(task, 1.0)
    for row in range(50):
        in_tail = buckets[row] == Bucket.TAIL
        first = {int(np.argmax(task.scores[row] * side)) for side in (in_tail, ~in_tail)}
        assert set(lists[row, :2].tolist()) == first
        rest = [position for position in plain[row].tolist() if position not in first]
        assert lists[row, 2:].tolist() == rest[:8]
    assert (
        np.sort(np.take_along_axis(buckets, PFAR.rerank(task, 1.0), 1)[:, :3]) == range(3)
    ).all()


@pytest.mark.parametrize("method", [XQUAD_SMOOTH, CALIBRATED_POPULARITY, STECK])
def test_largest_dial_gives_the_tail_its_share_of_the_taste(method: Method) -> None:
    task = random_task(4, users=60, pool=90, k=20)
    buckets = np.take_along_axis(
        task.catalogue.bucket[task.items], method.rerank(task, method.dials[-1]), axis=1
    )
    tail = (buckets == Bucket.TAIL).mean(axis=1)
    assert np.abs(tail - task.taste[:, Bucket.TAIL]).max() <= 1.5 / task.k


def test_divergences_in_closed_cases() -> None:
    head, tail, even = np.eye(3)[0], np.eye(3)[2], np.array([0.5, 0.0, 0.5])
    assert jensen_shannon(head, tail) == pytest.approx(1)
    assert jensen_shannon(even, even) == pytest.approx(0)
    assert jensen_shannon(head, even) == pytest.approx(jensen_shannon(even, head))
    assert smoothed_kullback_leibler(even, even) == pytest.approx(0)
    # Only the smoothing keeps a group that the list lacks from costing infinitely much.
    assert smoothed_kullback_leibler(head, tail) == pytest.approx(-np.log(SMOOTHING))
