from dataclasses import replace

import numpy as np
import pytest
from longtail.server.ranking.evidence import FEATURES
from longtail.server.ranking.retrieval import Sources

from evaluation import requests as module
from evaluation.dataset import Dataset, DatasetError
from evaluation.requests import Requests, proposals, requests
from evaluation.splits import Part
from evaluation.world import World
from tests.unit.evaluation import invented_data
from tests.unit.evaluation.invented_data import PEOPLE, dataset, part_of_rows, untold, vectors

SOURCES = Sources(behaviour=0.5, popularity=0.1, words=0.5)


def asked(
    data: Dataset | None = None, *, pool: int = 40, most: int = PEOPLE, seed: int = 1
) -> tuple[World, Requests]:
    """Return the requests of the test period."""
    data = data or dataset()
    likes, part = data.ratings >= 4, part_of_rows(dataset())
    world = World(data, likes, data.ratings <= 2, part < Part.TEST, vectors(data))
    wanted = (part == Part.TEST) & likes
    return world, requests(world, data, wanted, pool, most, seed, SOURCES, untold)


def test_candidates_are_new_to_their_person_and_distinct() -> None:
    world, found = asked()
    assert found.items.shape == (len(found.users), 40)
    for user, items in zip(found.users, found.items, strict=True):
        assert len(set(items.tolist())) == 40
        assert not set(items.tolist()) & set(world.past(int(user)).seen.tolist())


def test_the_truth_is_what_was_liked_in_the_period_alone() -> None:
    data = dataset()
    _, found = asked(data)
    rows = (part_of_rows(data) == Part.TEST) & (data.ratings >= 4)
    for at, user in enumerate(found.users):
        start, end = found.truth.offsets[at : at + 2]
        liked = data.items[rows & (data.users == user)]
        assert sorted(found.truth.items[start:end]) == sorted(liked)
        np.testing.assert_array_equal(found.relevant[at], np.isin(found.items[at], liked))


def test_only_who_liked_something_before_asks() -> None:
    data = dataset()
    # One person's likes of before the test are none, and another likes nothing in the test.
    before = (data.users == 0) & (part_of_rows(data) < Part.TEST)
    after = (data.users == 1) & (part_of_rows(data) == Part.TEST)
    _, found = asked(replace(data, ratings=np.where(before | after, 3.0, data.ratings)))
    assert not {0, 1} & set(found.users.tolist())
    assert len(found.users) > PEOPLE / 2


def test_only_who_liked_something_lately_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    _, more = asked()
    monkeypatch.setattr(module, "INTEREST_LENGTH", 1)
    world, found = asked()
    assert 0 < len(found.users) < len(more.users)
    assert all(world.past(int(user)).values[0] > 0 for user in found.users)


def test_candidates_are_scored_by_what_was_said_lately_and_taste_is_of_everything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, whole = asked()
    monkeypatch.setattr(module, "HISTORY_LENGTH", 4)
    monkeypatch.setattr(module, "INTEREST_LENGTH", 4)
    _, late = asked()
    both = np.isin(whole.users, late.users)
    np.testing.assert_array_equal(whole.users[both], late.users)
    np.testing.assert_array_equal(whole.taste[both], late.taste)
    np.testing.assert_array_equal(whole.likes[both], late.likes)
    activity = FEATURES.index("activity")
    assert late.features[:, :, activity].max() <= np.log1p(4) + 1e-6
    assert whole.features[:, :, activity].max() > np.log1p(5)


def test_all_is_finite() -> None:
    _, found = asked()
    assert found.features.shape == (*found.items.shape, len(FEATURES))
    assert np.isfinite(found.features).all()
    assert np.isfinite(found.raw).all()
    np.testing.assert_allclose(found.taste.sum(axis=1), 1)
    assert found.likes.min() >= 1


def test_a_seed_draws_the_people_and_their_order() -> None:
    (_, one), (_, again), (_, other) = (asked(most=30, seed=seed) for seed in (1, 1, 2))
    for name in ("users", "items", "features", "raw", "taste", "likes"):
        np.testing.assert_array_equal(getattr(one, name), getattr(again, name))
    np.testing.assert_array_equal(one.truth.items, again.truth.items)
    assert len(one.users) == len(other.users) == 30
    assert one.users.tolist() != other.users.tolist()


def test_what_happens_later_changes_nothing_but_the_truth() -> None:
    data = dataset()
    later = np.flatnonzero(part_of_rows(data) == Part.TEST)
    other = invented_data.with_other_rows(data, later)
    # All of them like something, so that the same people ask.
    ratings = np.where(part_of_rows(data) == Part.TEST, 5.0, data.ratings)
    _, one = asked(replace(data, ratings=ratings))
    _, two = asked(replace(other, ratings=ratings))
    for name in ("users", "items", "features", "raw", "taste", "likes"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    assert one.truth.items.tolist() != two.truth.items.tolist()


def test_progress_is_told_to_the_end() -> None:
    data, told = dataset(), list[tuple[int, int]]()
    part, likes = part_of_rows(data), data.ratings >= 4
    world = World(data, likes, data.ratings <= 2, part < Part.TEST, vectors(data))
    wanted = (part == Part.TEST) & likes
    requests(world, data, wanted, 20, 9, 0, SOURCES, lambda *at: told.append(at))
    assert told == [(done, 9) for done in range(1, 10)]


def test_a_pool_is_no_larger_than_what_is_left_to_recommend() -> None:
    world, found = asked(pool=1000)
    fewest = min(world.items - len(world.past(int(user)).seen) for user in found.users)
    assert found.items.shape[1] == fewest


def test_who_has_seen_nearly_everything_does_not_make_the_pools_of_all_small() -> None:
    data = dataset()
    seen = data.items[data.users == 0]
    more = np.setdiff1d(np.arange(len(data.item_ids)), seen)[:-2]
    first = np.full(len(more), data.times.min())
    data = replace(
        data,
        users=np.concatenate((data.users, np.zeros(len(more), np.int64))),
        items=np.concatenate((data.items, more)),
        ratings=np.concatenate((data.ratings, np.full(len(more), 4.0))),
        times=np.concatenate((data.times, first)),
    )
    part = np.concatenate((part_of_rows(dataset()), np.full(len(more), Part.TRAIN)))
    likes = data.ratings >= 4
    world = World(data, likes, data.ratings <= 2, part < Part.TEST, vectors(data))
    found = requests(world, data, (part == Part.TEST) & likes, 40, PEOPLE, 1, SOURCES, untold)
    assert found.items.shape[1] == 40
    assert 0 not in found.users
    assert len(found.users) > PEOPLE / 2


def test_without_anybody_to_ask_there_is_nothing_to_evaluate() -> None:
    data = dataset()
    with pytest.raises(DatasetError, match="liked something before"):
        asked(replace(data, ratings=np.where(part_of_rows(data) < Part.TEST, 1.0, 5.0)))


def test_a_head_proposes_and_is_a_feature() -> None:
    data, head = dataset(), np.random.default_rng(5).normal(size=(vectors(dataset()).shape[1],) * 2)
    likes, part = data.ratings >= 4, part_of_rows(data)
    adapted = (vectors(data) @ head).astype(np.float32)
    adapted /= np.linalg.norm(adapted, axis=1, keepdims=True)
    plain, world = (
        World(data, likes, data.ratings <= 2, part < Part.TEST, vectors(data), each)
        for each in (None, adapted)
    )
    wanted, at = (part == Part.TEST) & likes, FEATURES.index("adapted")

    def found(world: World, sources: Sources) -> Requests:
        return requests(world, data, wanted, 30, PEOPLE, 1, sources, untold)

    usual = found(plain, SOURCES)
    assert not usual.features[:, :, at].any()
    # It proposes nothing where it may not, and says what it says all the same.
    silent = found(world, replace(SOURCES, adapted=0.0))
    np.testing.assert_array_equal(silent.items, usual.items)
    past = world.past(int(silent.users[0])).latest(100)
    made, each = proposals(world, past), adapted[silent.items[0]] @ adapted[past.likes[:50]].T
    cosines = np.sort(each, axis=1)[:, -3:].mean(axis=1)
    standing = (cosines - cosines.mean()) / cosines.std()
    assert silent.features[0, :, at] == pytest.approx(standing, abs=1e-4)
    both = found(world, replace(SOURCES, adapted=1.0))
    best = np.argmax(np.where(made.fresh, made.adapted_cosines[:, 0], -np.inf))
    assert best in both.items[0]


def test_a_filter_leaves_others_out() -> None:
    data, part, likes = dataset(), part_of_rows(dataset()), dataset().ratings >= 4
    world = World(data, likes, data.ratings <= 2, part < Part.TEST, vectors(data))
    among = np.arange(world.items) % 3 == 0
    wanted = (part == Part.TEST) & likes & among[data.items]
    found = requests(world, data, wanted, 30, PEOPLE, 1, SOURCES, untold, among)
    assert found.items.shape[1] == 30
    assert among[found.items].all()
