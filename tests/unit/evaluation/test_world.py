from dataclasses import replace

import numpy as np
import pytest
from longtail.server.ranking.behaviour import REGRESSION_SHARE
from longtail.server.ranking.cosine import SHRINKAGE
from longtail.server.ranking.regression import HALF_SUPPORT, LEAST_WEIGHT, RIDGE

from evaluation.dataset import Dataset, Dropped
from evaluation.splits import Part
from evaluation.task import Ints
from evaluation.world import World
from tests.unit.evaluation import invented_data

# Five people and six items, in the order of the file.
USERS = [0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 4]
ITEMS = [0, 1, 2, 1, 2, 0, 2, 3, 1, 4, 5]
RATINGS = [5, 4, 1, 5, 5, 4, 4, 5, 2, 3, 4]
TIMES = [30, 10, 20, 5, 5, 1, 2, 3, 8, 9, 7]
VECTORS = np.eye(6, dtype=np.float32)


def tiny() -> Dataset:
    return Dataset(
        item_ids=[f"i{item}" for item in range(6)],
        titles=[""] * 6,
        texts=[""] * 6,
        attributes=[{}] * 6,
        user_ids=[f"u{user}" for user in range(5)],
        users=np.array(USERS),
        items=np.array(ITEMS),
        ratings=np.array(RATINGS, np.float64),
        times=np.array(TIMES, np.float64),
        split=None,
        rated=True,
        dropped=Dropped({}, {}),
    )


def tiny_world(known: Ints | None = None) -> World:
    data = tiny()
    likes, dislikes = data.ratings >= 4, data.ratings <= 2
    happened = np.ones(len(USERS), bool)
    if known is not None:
        happened = np.isin(np.arange(len(USERS)), known)
    return World(data, likes, dislikes, happened, VECTORS)


def test_a_past_runs_from_the_latest_on() -> None:
    past = tiny_world().past(0)
    assert past.seen.tolist() == past.items.tolist() == [0, 2, 1]
    assert past.values.tolist() == [1, -1, 1]
    assert past.likes.tolist() == [0, 1]
    assert past.dislikes.tolist() == [2]


def test_the_latest_of_a_past_is_as_if_no_more_had_been_said() -> None:
    latest = tiny_world().past(0).latest(2)
    assert latest.items.tolist() == [0, 2]
    assert (latest.likes.tolist(), latest.dislikes.tolist()) == ([0], [2])
    assert latest.seen.tolist() == [0, 2, 1]


def test_of_one_time_the_later_row_is_the_later() -> None:
    assert tiny_world().past(1).seen.tolist() == [2, 1]


def test_what_is_neither_liked_nor_disliked_is_only_seen() -> None:
    past = tiny_world().past(3)
    assert past.seen.tolist() == [4, 1]
    assert past.items.tolist() == [1]
    assert (past.likes.tolist(), past.dislikes.tolist()) == ([], [1])


def test_popularity_counts_what_happened_whether_it_was_liked_or_not() -> None:
    assert tiny_world().popularity.tolist() == [2, 3, 3, 1, 1, 1]
    assert tiny_world(known=np.array([0, 1, 8])).popularity.tolist() == [1, 2, 0, 0, 0, 0]


def test_who_did_nothing_yet_has_an_empty_past() -> None:
    world = tiny_world(known=np.array([0, 1]))
    assert [len(part) for part in vars(world.past(4)).values()] == [0, 0, 0]


def test_behaviour_is_the_shrunk_cosine_of_who_liked_what_and_a_regression_on_it() -> None:
    world, data = tiny_world(), tiny()
    liked = np.zeros((5, 6))
    liked[data.users, data.items] = data.ratings >= 4
    support = liked.sum(axis=0)
    common = liked.T @ (liked / np.sqrt(1 + liked.sum(axis=1, keepdims=True)))
    np.fill_diagonal(common, 0)
    similarity = common / (np.sqrt(np.outer(support, support)) + SHRINKAGE)
    # The regression of each item that two people like on what is liked with it.
    for item in np.flatnonzero(support >= 2):
        others = np.flatnonzero(common[item])
        among = liked[:, others].T @ liked[:, others] + RIDGE * np.eye(len(others))
        led_by = np.linalg.solve(among, liked[:, others].T @ liked[:, item])
        share = REGRESSION_SHARE * support[item] / (support[item] + HALF_SUPPORT)
        similarity[others, item] *= 1 - share
        similarity[others, item] += share * np.where(led_by < LEAST_WEIGHT, 0, led_by)

    # Who liked what next.
    followed = np.zeros((6, 6))
    for user in range(5):
        rows = np.flatnonzero((data.users == user) & (data.ratings >= 4))
        theirs = data.items[rows[np.argsort(data.times[rows], kind="stable")]]
        for gap in range(1, len(theirs)):
            np.add.at(followed, (theirs[:-gap], theirs[gap:]), 0.8 ** (gap - 1))
    following = similarity + followed / (np.sqrt(np.outer(support, support)) + SHRINKAGE)

    items, weights = np.array([0, 2]), np.array([1.0, 0.5])
    expected = (similarity[0] + 0.5 * similarity[2]) / 1.5
    assert expected.any()
    whole, first = world.behaviour_scores(items, [weights, np.array([1.0, 0.0])])
    np.testing.assert_allclose(whole, expected, rtol=1e-6)
    np.testing.assert_allclose(first, following[0], rtol=1e-6)
    np.testing.assert_array_equal(world.support, support)


@pytest.mark.parametrize("wanted", [Part.VALID, Part.TEST])
def test_nothing_that_comes_later_is_known(wanted: Part) -> None:
    data = invented_data.dataset()
    known = invented_data.part_of_rows(data) < wanted
    other = invented_data.with_other_rows(data, np.flatnonzero(~known))
    # Not even when it came, nor on which scale it was rated.
    later = np.where(known, data.times, data.times + 1e6)
    other = replace(other, times=later, ratings=np.where(known, data.ratings, other.ratings / 10))
    worlds = [
        World(each, each.ratings >= 4, each.ratings <= 2, known, invented_data.vectors(data))
        for each in (data, other)
    ]
    for name in ("popularity", "bucket", "support"):
        one, two = (getattr(world, name) for world in worlds)
        np.testing.assert_array_equal(one, two, err_msg=name)
    for user in range(len(data.user_ids)):
        pasts = [world.past(user) for world in worlds]
        for name in ("likes", "dislikes", "seen"):
            one, two = (getattr(past, name) for past in pasts)
            np.testing.assert_array_equal(one, two, err_msg=name)
        likes = pasts[0].likes
        one, two = (world.behaviour_scores(likes, [np.ones(len(likes))])[0] for world in worlds)
        np.testing.assert_array_equal(one, two)
