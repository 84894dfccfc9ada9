"""Small tasks, and what every list must be, for tests of the methods from outside."""

import numpy as np
from longtail.server.ranking.popularity import PopularityScale

from evaluation.task import Catalogue, Ints, Task


def random_task(
    *, users: int = 30, pool: int = 40, items: int = 200, k: int = 10, seed: int = 1
) -> Task:
    """Draw pools of popular and unpopular items of which the popular ones score higher."""
    random = np.random.default_rng(seed)
    popularity = np.floor(random.gamma(0.8, 20, items))
    vectors = random.normal(size=(items, 8))
    pools = np.stack([random.permutation(items)[:pool] for _ in range(users)])
    logits = random.normal(size=pools.shape) + np.log1p(popularity[pools])
    return Task(
        catalogue=Catalogue(
            popularity=popularity,
            bucket=PopularityScale(popularity).bucket(popularity),
            vectors=(vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32),
        ),
        k=k,
        items=pools,
        scores=1 / (1 + np.exp(3 - logits)),
        taste=np.full((users, 3), 1 / 3),
        profile_length=np.full(users, 20),
        seed=seed,
    )


def plain(task: Task) -> Ints:
    order: Ints = np.argsort(-task.scores, axis=1, kind="stable")[:, : task.k]
    return order


def assert_lists_of_candidates(task: Task, lists: Ints) -> None:
    assert lists.shape == (len(task.items), task.k)
    assert lists.dtype == np.int64
    assert lists.min() >= 0
    assert lists.max() < task.items.shape[1]
    assert all(len(set(row)) == task.k for row in lists.tolist())


def tail_share(task: Task, lists: Ints) -> float:
    bucket = task.catalogue.bucket[np.take_along_axis(task.items, lists, axis=1)]
    return float((bucket == 2).mean())
