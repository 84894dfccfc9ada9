"""Each item regressed on its nearest: what a dense ridge regression says, in bounds."""

import numpy as np
import pytest
from longtail.server.ranking import behaviour as behaviour_module
from longtail.server.ranking import regression as module
from longtail.server.ranking.behaviour import REGRESSION_SHARE, Behaviour
from longtail.server.ranking.cosine import SHRINKAGE
from longtail.server.ranking.regression import (
    HALF_SUPPORT,
    LEAST_WEIGHT,
    RIDGE,
    Regression,
    Stopped,
    fit,
)
from numpy.typing import NDArray

ITEMS, PEOPLE = 12, 60


def untold(_done: int) -> None:
    """Go on."""


def drawn(seed: int = 0) -> NDArray[np.float64]:
    """Draw who likes what, (PEOPLE, ITEMS); any two items have somebody in common."""
    random = np.random.default_rng(seed)
    side = random.random((PEOPLE, 1)) < 0.5
    liked = random.random((PEOPLE, ITEMS)) < np.where(side == (np.arange(ITEMS) % 2), 0.7, 0.3)
    return liked.astype(np.float64)


def lists(liked: NDArray[np.float64]) -> list[bytes]:
    return [np.flatnonzero(theirs).astype(np.int32).tobytes() for theirs in liked]


def ridge(liked: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weight with which each item leads to each other, (ITEMS, ITEMS), if it counts."""
    weights = np.zeros((ITEMS, ITEMS))
    for item in range(ITEMS):
        others = np.delete(np.arange(ITEMS), item)
        among = liked[:, others].T @ liked[:, others] + RIDGE * np.eye(ITEMS - 1)
        weights[others, item] = np.linalg.solve(among, liked[:, others].T @ liked[:, item])
    return np.where(weights < LEAST_WEIGHT, 0.0, weights)


def dense(regression: Regression) -> NDArray[np.float64]:
    weights = np.zeros((ITEMS, ITEMS))
    for item in range(ITEMS):
        led_to, strength = regression.led_to(item)
        weights[item, led_to] = strength
    return weights


def test_weights_are_those_of_a_ridge_regression_and_none_is_small() -> None:
    liked = drawn()
    regression = fit(lists(liked), ITEMS, untold)
    np.testing.assert_allclose(dense(regression), ridge(liked), atol=1e-6)
    np.testing.assert_array_equal(regression.support, liked.sum(axis=0))
    assert regression.version == fit(lists(liked), ITEMS, untold).version
    assert regression.version != fit(lists(drawn(1)), ITEMS, untold).version


def test_of_many_others_the_nearest_are_regressed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REGRESSORS", 3)
    liked = drawn()
    weights = dense(fit(lists(liked), ITEMS, untold))
    common, support = liked.T @ liked, liked.sum(axis=0)
    similarity = common / (np.sqrt(np.outer(support, support)) + SHRINKAGE)
    np.fill_diagonal(similarity, -1)
    for item in range(ITEMS):
        nearest = np.argsort(-similarity[item])[:3]
        assert set(np.flatnonzero(weights[:, item])) <= set(nearest.tolist())
    assert weights.any()


def test_the_strongest_of_what_an_item_leads_to_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    liked = drawn()
    whole = dense(fit(lists(liked), ITEMS, untold))
    monkeypatch.setattr(module, "LED_TO", 2)
    kept = dense(fit(lists(liked), ITEMS, untold))
    for item in range(ITEMS):
        strongest = np.sort(whole[item])[-2:]
        assert sorted(kept[item][kept[item] > 0]) == sorted(strongest[strongest > 0])


def test_what_hardly_anybody_likes_follows_from_nothing() -> None:
    liked = drawn()
    liked[:, 4] = 0
    liked[0, 4] = 1
    regression = fit(lists(liked), ITEMS, untold)
    assert not dense(regression)[:, 4].any()
    assert regression.support[4] == 0
    # Nor does what nobody likes, nor what a person without likes would.
    assert not len(fit([b"", b""], 3, untold).items)


def test_of_very_many_likes_a_sample_stands_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    # Each person twice: one of the two stands for both.
    liked = np.repeat(drawn(), 2, axis=0)
    likes = lists(liked)
    whole = fit(likes, ITEMS, untold)
    monkeypatch.setattr(module, "LIKES", int(liked.sum() / 2))
    looked = list[int]()
    original = module._Likes

    def counted(sample: list[bytes], count: int) -> module._Likes:
        looked.append(len(sample))
        return original(sample, count)

    monkeypatch.setattr(module, "_Likes", counted)
    sampled = fit(likes, ITEMS, untold)
    assert looked == [len(likes) // 2]
    np.testing.assert_array_equal(sampled.support, whole.support)
    np.testing.assert_allclose(dense(sampled), dense(whole), atol=1e-6)


def test_of_very_many_likes_of_an_item_and_its_nearest_a_sample_stands_for_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Each person twice, and every second is looked at.
    liked = np.repeat(drawn(), 2, axis=0)
    likes = lists(liked)
    whole = fit(likes, ITEMS, untold)
    monkeypatch.setattr(module, "REGRESSED_LIKES", int(liked.sum() / 2) + 1)
    np.testing.assert_allclose(dense(fit(likes, ITEMS, untold)), dense(whole), atol=1e-6)
    monkeypatch.setattr(module, "REGRESSED_LIKES", int(liked.sum() / 4) + 1)
    assert not np.allclose(dense(fit(likes, ITEMS, untold)), dense(whole))


def test_a_fit_ends_when_it_is_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_SECONDS", -1.0)
    told = list[int]()

    def stop(done: int) -> None:
        told.append(done)
        if done:
            raise Stopped

    liked = np.tile(drawn(), (1, 2))
    with pytest.raises(Stopped):
        fit(lists(liked), 2 * ITEMS, stop)
    assert told == [0, 1]


def taken_in(liked: NDArray[np.float64]) -> Behaviour:
    behaviour = Behaviour()
    for item in range(ITEMS):
        behaviour.like("everybody", f"i{item}")
    for person, theirs in enumerate(liked):
        for item in np.flatnonzero(theirs).tolist():
            behaviour.like(person, f"i{item}")
    return behaviour


def similarity(behaviour: Behaviour, item: str) -> dict[str, float]:
    found = behaviour.neighbours(behaviour.number_of[item])
    names = [behaviour.ids[number] for number in found.items]
    return dict(zip(names, found.similarity.tolist(), strict=True))


def test_similarities_go_by_it_as_far_as_it_is_to_be_trusted() -> None:
    behaviour = taken_in(drawn())
    cosine = similarity(behaviour, "i0")
    regression = fit(behaviour.likes(), ITEMS, untold)
    behaviour.go_by(regression, untold)
    both = similarity(behaviour, "i0")
    weights = dense(regression)[0]
    for item in range(1, ITEMS):
        support = behaviour.support(np.array([item]))[0]
        share = REGRESSION_SHARE * support / (support + HALF_SUPPORT)
        expected = (1 - share) * cosine[f"i{item}"] + share * weights[item]
        assert both[f"i{item}"] == pytest.approx(expected, rel=1e-5)
    assert len(set(both.values())) > 2


def test_what_came_since_goes_by_the_cosine_at_once() -> None:
    behaviour = taken_in(drawn())
    behaviour.go_by(fit(behaviour.likes(), ITEMS, untold), untold)
    assert "new" not in similarity(behaviour, "i0")
    behaviour.like("ann", "i0")
    for each in range(30):
        behaviour.like(each, "new")
    found = similarity(behaviour, "i0")
    without = taken_in(drawn())
    without.like("ann", "i0")
    for each in range(30):
        without.like(each, "new")
    assert found["new"] == similarity(without, "i0")["new"] > 0
    assert similarity(behaviour, "new")
    assert found["i2"] != similarity(without, "i0")["i2"]


def test_it_is_trusted_less_of_what_has_changed_since() -> None:
    regression = Regression(
        np.zeros(3, np.int64),
        np.empty(0, np.int32),
        np.empty(0, np.float32),
        np.array([20.0, 0.0], np.float32),
    )
    items, support = np.array([0, 0, 0, 1, 7], np.int32), np.array([20.0, 5.0, 60.0, 9.0, 9.0])
    np.testing.assert_allclose(regression.trust(items, support), [0.5, 0.5, 0.25, 0.0, 0.0])
    assert [len(part) for part in regression.led_to(7)] == [0, 0]


def test_an_item_whose_latest_people_like_nothing_else_leads_nowhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(behaviour_module, "PEOPLE_PER_ITEM", 20)
    behaviour = taken_in(drawn())
    behaviour.go_by(fit(behaviour.likes(), ITEMS, untold), untold)
    assert similarity(behaviour, "i3")
    for each in range(20):
        behaviour.like(f"new {each}", "i3")
    assert similarity(behaviour, "i3") == {}
