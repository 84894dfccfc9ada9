import itertools

import numpy as np
import pytest
from longtail.server.ranking.popularity import Bucket

from evaluation.metrics import Judge, Truth
from evaluation.oracle import ceilings
from evaluation.task import Catalogue


def test_the_ceilings_are_the_best_of_all_lists() -> None:
    random = np.random.default_rng(0)
    users, items, n, k = 6, 12, 6, 3
    for _ in range(20):
        bucket = random.integers(0, 3, items).astype(np.int8)
        catalogue = Catalogue(np.ones(items), bucket, np.eye(items, dtype=np.float32))
        counts = random.integers(1, 6, users)
        truth = Truth(
            np.concatenate(([0], np.cumsum(counts))),
            np.concatenate([random.permutation(items)[:count] for count in counts]),
        )
        pools = np.stack([random.permutation(items)[:n] for _ in range(users)])
        judge = Judge(truth, catalogue, np.full((users, 3), 1 / 3))
        runs = [
            judge.measure(pools[:, order]).per_user
            for order in map(list, itertools.permutations(range(n), k))
        ]
        found = ceilings(pools, k, truth, catalogue)
        for name in ("ndcg", "recall", "aplt", "tail_recall"):
            best = np.max([run[name] for run in runs], axis=0)
            expected = np.nan if np.isnan(best).all() else np.nanmean(best)
            assert getattr(found, name) == pytest.approx(expected, nan_ok=True)
        assert found.pool_tail_share == pytest.approx((bucket[pools] == Bucket.TAIL).mean())


def test_a_pool_that_holds_none_of_the_truth_caps_relevance_at_zero() -> None:
    catalogue = Catalogue(np.ones(4), np.full(4, Bucket.TAIL, np.int8), np.eye(4, dtype=np.float32))
    found = ceilings(np.array([[0, 1]]), 2, Truth(np.array([0, 1]), np.array([3])), catalogue)
    assert (found.ndcg, found.recall, found.tail_recall) == (0, 0, 0)
    assert (found.aplt, found.pool_tail_share) == (1, 1)


def test_a_short_list_cannot_hold_all_that_is_relevant() -> None:
    catalogue = Catalogue(np.ones(4), np.full(4, Bucket.TAIL, np.int8), np.eye(4, dtype=np.float32))
    truth = Truth(np.array([0, 4]), np.arange(4))
    found = ceilings(np.array([[0, 1, 2, 3]]), 2, truth, catalogue)
    assert (found.ndcg, found.recall, found.tail_recall) == (1, 0.5, 0.5)
