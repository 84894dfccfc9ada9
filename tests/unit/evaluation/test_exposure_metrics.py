import itertools
import math

import numpy as np
import pytest
from longtail.server.catalogue.exposure_report import gini
from longtail.server.ranking.diversity import intra_list_diversity

from evaluation.exposure_metrics import (
    bucket_shares,
    jensen_shannon,
    taste_groups,
    variety,
)


def kullback_leibler(p: np.ndarray, q: np.ndarray) -> float:
    return float(sum(a * math.log2(a / b) for a, b in zip(p, q, strict=True) if a > 0))


def test_the_divergence_is_the_mean_of_those_to_the_middle() -> None:
    random = np.random.default_rng(1)
    first, second = random.dirichlet((0.5, 0.5, 0.5), (2, 200))
    first[:40, 0], second[20:60, 2] = 0, 0
    first, second = (rows / rows.sum(axis=1, keepdims=True) for rows in (first, second))
    for p, q, measured in zip(first, second, jensen_shannon(first, second), strict=True):
        middle = (p + q) / 2
        expected = (kullback_leibler(p, middle) + kullback_leibler(q, middle)) / 2
        assert measured == pytest.approx(expected, abs=1e-12)


def test_the_divergence_is_in_bits_from_zero_to_one() -> None:
    shares = np.array([[1.0, 0, 0], [0.2, 0.3, 0.5]])
    assert jensen_shannon(shares, shares) == pytest.approx([0, 0], abs=1e-15)
    assert jensen_shannon(shares[:1], np.array([[0, 0.5, 0.5]])) == pytest.approx([1])


def test_shares_are_in_the_order_of_the_buckets() -> None:
    buckets = np.array([[2, 2, 0, 1], [2, 2, 2, 2]], np.int8)
    assert bucket_shares(buckets).tolist() == [[0.25, 0.25, 0.5], [0, 0, 1]]


def test_users_fall_into_a_fifth_three_fifths_and_a_fifth_by_their_head() -> None:
    head = np.array([0.9, 0.1, 0.5, 0.2, 0.3, 0.8, 0.4, 0.0, 0.6, 0.7])
    taste = np.stack((head, (1 - head) / 2, (1 - head) / 2), axis=1)
    niche, diverse, blockbuster = taste_groups(taste)
    assert sorted(niche) == [1, 7]
    assert sorted(diverse) == [2, 3, 4, 6, 8, 9]
    assert sorted(blockbuster) == [0, 5]


def test_between_equal_heads_the_tail_decides() -> None:
    taste = np.array([[0.2, 0.8, 0.0]] * 4 + [[0.2, 0.0, 0.8]])
    assert taste_groups(taste)[0].tolist() == [4]


def test_every_user_is_in_one_group() -> None:
    for users in range(1, 12):
        groups = taste_groups(np.full((users, 3), 1 / 3))
        assert sorted(itertools.chain(*groups)) == list(range(users))


def test_gini_is_the_mean_difference_over_twice_the_mean() -> None:
    random = np.random.default_rng(2)
    for _ in range(50):
        shown = random.integers(0, 5, int(random.integers(1, 20)))
        if shown.sum() == 0:
            continue
        differences = np.abs(shown[:, None] - shown).mean()
        assert gini(shown) == pytest.approx(differences / (2 * shown.mean()))


def test_gini_counts_what_is_never_shown() -> None:
    assert gini(np.full(10, 3)) == pytest.approx(0)
    assert gini(np.array([7] + [0] * 9)) == pytest.approx(0.9)
    assert gini(np.zeros(4, np.int64)) == 0


def test_variety_is_that_of_each_list_alone() -> None:
    random = np.random.default_rng(3)
    vectors = random.normal(size=(30, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    for k in (1, 2, 7):
        lists = np.stack([random.permutation(30)[:k] for _ in range(5)])
        expected = [intra_list_diversity(vectors[row]) for row in lists]
        assert variety(vectors, lists) == pytest.approx(expected, abs=1e-6)


def test_variety_of_a_pair_is_one_less_its_cosine() -> None:
    vectors = np.array([[1, 0], [0.6, 0.8], [-1, 0]], np.float32)
    assert variety(vectors, np.array([[0, 1], [0, 2]])) == pytest.approx([0.4, 2])
