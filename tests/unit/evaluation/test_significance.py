import numpy as np
import pytest

from evaluation.hypervolume import hypervolumes
from evaluation.significance import (
    REFERENCE_SHARE,
    UserBootstrap,
    best_within_loss,
    compare,
    curve_hypervolume,
    estimate,
    holm,
    p_value,
)


def test_the_first_row_is_the_sample_and_missing_values_are_left_out() -> None:
    random = np.random.default_rng(0)
    values = random.random((4, 30))
    values[1, ::3] = np.nan
    values[2] = np.nan
    means = UserBootstrap(30, replicates=5).means(values)
    assert means.shape == (6, 4)
    assert means[0, [0, 1, 3]] == pytest.approx(np.nanmean(values[[0, 1, 3]], axis=1))
    assert np.isnan(means[:, 2]).all()
    assert not np.isnan(means[:, [0, 1, 3]]).any()


def test_replicates_are_means_of_users_drawn_with_replacement() -> None:
    # In base 31 the sum of a resample tells how often it holds each user.
    users = 8
    bootstrap = UserBootstrap(users, replicates=200, seed=3)
    sums = np.rint(bootstrap.means(np.power(31.0, np.arange(users))[None])[1:, 0] * users).astype(
        np.int64
    )
    counts = np.stack([sums // 31**user % 31 for user in range(users)], axis=1)
    assert (counts.sum(axis=1) == users).all()
    assert (counts == 0).any()
    assert counts.mean(axis=0) == pytest.approx(np.ones(users), abs=0.3)


def test_the_spread_of_a_mean_is_its_standard_error() -> None:
    values = np.random.default_rng(1).normal(size=(1, 400))
    means = UserBootstrap(400, replicates=2_000).means(values)[1:, 0]
    assert means.std() == pytest.approx(values.std() / 20, rel=0.1)


def test_the_same_seed_draws_the_same_users() -> None:
    values = np.random.default_rng(2).random((2, 20))
    first, again, other = (
        UserBootstrap(20, replicates=10, seed=seed).means(values) for seed in (1, 1, 2)
    )
    assert (first == again).all()
    assert (first[1:] != other[1:]).any()


def test_coverage_is_of_the_users_drawn_and_centred_on_the_sample() -> None:
    random = np.random.default_rng(4)
    users, items, k, replicates = 25, 70, 3, 40
    lists = np.stack([[random.permutation(items)[:k] for _ in range(users)] for _ in range(3)])
    bootstrap = UserBootstrap(users, replicates=replicates, seed=5)
    # A user's own mean is above zero where the user was drawn.
    drawn = bootstrap.means(np.eye(users)) > 0
    plain = np.array([[len(np.unique(shown[row])) / items for shown in lists] for row in drawn])
    expected = plain.copy()
    expected[1:] += plain[0] - plain[1:].mean(axis=0)
    assert plain[1:].max() < plain[0].max()
    assert bootstrap.coverage(lists, items) == pytest.approx(expected)


def test_coverage_stays_a_share_and_counts_more_items_than_a_byte_does() -> None:
    # Everybody is shown items of their own: any resample covers far less than all.
    lists = np.arange(600).reshape(1, 60, 10)
    covered = UserBootstrap(60, replicates=300).coverage(lists, 600)[:, 0]
    assert covered[0] == 1
    assert 0.85 < covered[1:].min() < 1
    assert covered.max() == 1


def test_what_very_many_are_shown_is_always_covered() -> None:
    random = np.random.default_rng(6)
    lists = np.stack([np.zeros(80, np.int64), 1 + random.permutation(80)], axis=1)[None]
    covered = UserBootstrap(80, replicates=200).coverage(lists, 81)[:, 0]
    popular = UserBootstrap(80, replicates=200).coverage(np.zeros((1, 80, 1), np.int64), 10)[:, 0]
    assert covered[0] == 1
    assert 0.85 < covered[1:].min() < 1
    assert set(popular.tolist()) == {0.1}


def test_a_curve_is_measured_from_the_base_of_the_same_resample() -> None:
    random = np.random.default_rng(6)
    relevance, other, base = random.random((5, 4)), random.random((5, 4)), random.random(5)
    measured = curve_hypervolume(relevance, other, base)
    for row in range(5):
        reference = np.array([REFERENCE_SHARE * base[row], 0.0])
        assert measured[row] == hypervolumes(relevance[[row]], other[[row]], reference)[0]


def test_the_best_within_the_loss_is_chosen_anew_in_every_row() -> None:
    relevance = np.array([[1.0, 0.96, 0.5], [1.0, 0.9, 0.97], [0.9, 0.9, 0.9]])
    other = np.array([[0.1, 0.3, 0.9], [0.2, 0.8, 0.4], [0.5, 0.6, 0.7]])
    base = np.ones(3)
    assert best_within_loss(relevance, other, base).tolist() == pytest.approx(
        [0.3, 0.4, np.nan], nan_ok=True
    )
    assert best_within_loss(relevance, other, base, lowest=True)[:2].tolist() == [0.1, 0.2]
    assert best_within_loss(relevance, other, base, max_loss=0.5).tolist() == [0.9, 0.8, 0.7]


def test_a_loss_that_is_exactly_allowed_is_allowed_and_missing_values_are_not_chosen() -> None:
    relevance, other = np.array([[0.95, 1.0]]), np.array([[0.6, np.nan]])
    assert best_within_loss(relevance, other, np.ones(1)).tolist() == [0.6]


def test_an_interval_is_the_middle_of_the_replicates() -> None:
    replicated = np.append(0.4, np.linspace(0, 1, 1_001))
    found = estimate(np.append(replicated, np.nan))
    assert (found.value, found.low, found.high) == pytest.approx((0.4, 0.025, 0.975))


def test_a_figure_without_replicates_has_no_interval() -> None:
    found = estimate(np.array([0.4, np.nan]))
    assert found.value == 0.4
    assert np.isnan([found.low, found.high]).all()


@pytest.mark.parametrize(
    ("replicates", "expected"),
    [
        ([1.0] * 99, 2 / 100),
        ([-1.0] * 99, 2 / 100),
        ([1.0] * 95 + [-1.0] * 4, 10 / 100),
        ([0.0] * 99, 1.0),
        ([1e-17] * 99, 1.0),
        ([1.0] * 95 + [np.nan] * 4, 10 / 100),
    ],
)
def test_the_p_value_counts_the_rarer_side_and_the_sample(
    replicates: list[float], expected: float
) -> None:
    assert p_value(np.array([0.5, *replicates])) == pytest.approx(expected)


def test_equal_methods_differ_significantly_as_often_as_stated() -> None:
    random = np.random.default_rng(7)
    claims = 0
    for seed in range(200):
        bootstrap = UserBootstrap(60, replicates=300, seed=seed)
        claims += p_value(bootstrap.means(random.normal(size=(1, 60)))[:, 0]) < 0.05
    assert 2 <= claims <= 22


def test_holm_multiplies_by_what_is_left_and_never_falls() -> None:
    adjusted = holm(np.array([0.01, 0.04, 0.03, 0.005]))
    assert adjusted == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.6, 0.7])) == pytest.approx([1, 1])
    assert holm(np.array([])).shape == (0,)


def test_a_method_is_compared_with_each_other_one_on_the_same_users() -> None:
    # Users differ far more than the methods do: only pairs can tell.
    random = np.random.default_rng(8)
    hard = random.normal(scale=5, size=(1, 300))
    bootstrap = UserBootstrap(300)
    ours, worse, alike = (
        bootstrap.means(hard + gain + random.normal(scale=0.1, size=(1, 300)))[:, 0]
        for gain in (0.1, 0.0, 0.1)
    )
    found = compare(ours, {"worse": worse, "alike": alike})
    assert estimate(ours).low < estimate(worse).value
    assert found["worse"].estimate.low > 0
    assert found["worse"].estimate.value == ours[0] - worse[0]
    assert found["worse"].p_value == pytest.approx(2 / 1_001)
    assert found["worse"].adjusted == pytest.approx(4 / 1_001)
    assert found["alike"].adjusted > 0.05
