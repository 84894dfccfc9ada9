import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from longtail.server.ranking.interest import (
    HISTORY_HALF_LIFE,
    HISTORY_WEIGHT,
    MAX_INTERESTS,
    CancelledInterestError,
    Interest,
    Part,
    Weighted,
    interests,
    interests_again,
    like_parts,
    past_directions,
    past_interests,
)
from numpy.typing import NDArray

Vector = NDArray[np.float32]
Pair = tuple[Vector, float]
NOTHING: list[Pair] = []
X, Y, Z, W, V = np.eye(5, dtype=np.float32)


def found_of(
    query: Vector | None, examples: list[Pair], history: list[Pair]
) -> tuple[Interest, ...]:
    dimension = len(query) if query is not None else len((examples + history + [(X, 0.0)])[0][0])
    past = past_interests(weighted(history, dimension))
    return interests(query, weighted(examples, dimension), past)


def weighted(pairs: list[Pair], dimension: int) -> Weighted:
    vectors = np.array([vector for vector, _ in pairs], np.float32).reshape(-1, dimension)
    return Weighted(vectors, np.array([weight for _, weight in pairs]))


def only(
    query: Vector | None = None,
    examples: list[Pair] = NOTHING,
    history: list[Pair] = NOTHING,
) -> Interest:
    [interest] = found_of(query, examples, history)
    return interest


def near(vector: Vector, towards: Vector) -> Vector:
    moved: Vector = vector + np.float32(0.1) * towards
    return (moved / np.linalg.norm(moved)).astype(np.float32)


@given(st.integers(0, 2**32 - 1), st.booleans(), st.integers(0, 4), st.integers(0, 30))
def test_parts_sum_to_unit_vectors_and_shares_to_one(
    seed: int, with_query: bool, examples: int, history: int
) -> None:
    random = np.random.default_rng(seed)

    def unit() -> Vector:
        vector = random.normal(size=16)
        return (vector / np.linalg.norm(vector)).astype(np.float32)

    def pairs(count: int) -> list[Pair]:
        return [(unit(), float(random.uniform(0.1, 2))) for _ in range(count)]

    found = found_of(unit() if with_query else None, pairs(examples), pairs(history))
    given_any = with_query or examples
    assert bool(found) == bool(given_any or history)
    assert len(found) <= (1 if given_any else MAX_INTERESTS)
    if found:
        assert sum(interest.share for interest in found) == pytest.approx(1)
    assert [i.share for i in found] == sorted((i.share for i in found), reverse=True)
    for interest in found:
        assert interest.parts.shape == (len(Part), 16)
        assert interest.parts.sum(axis=0) == pytest.approx(interest.vector, abs=1e-6)
        assert np.linalg.norm(interest.vector) == pytest.approx(1, abs=1e-6)
        assert bool(interest.parts[Part.QUERY].any()) == with_query
        assert bool(interest.parts[Part.EXAMPLES].any()) == bool(examples)
        assert bool(interest.parts[Part.HISTORY].any()) == bool(history)


def test_nothing_to_go_by() -> None:
    assert found_of(None, [], []) == ()


def test_a_query_alone_is_the_interest() -> None:
    assert only(X).vector == pytest.approx(X)


def test_weights_draw_in_proportion() -> None:
    vector = only(X, [(Y, 3.0)]).vector
    assert vector == pytest.approx(np.array([1, 3, 0, 0, 0]) / np.sqrt(10))


def test_a_negative_example_pushes_away() -> None:
    interest = only(X, [(Y, -1.0)])
    assert interest.vector @ Y == pytest.approx(-np.sqrt(0.5))
    assert interest.parts[Part.EXAMPLES] @ Y == pytest.approx(-np.sqrt(0.5))


@pytest.mark.parametrize(
    ("query", "examples"),
    [
        (X, [(X, -1.0)]),
        (None, [(X, 2.0), (X, -2.0)]),
        (None, [(X, 1.0), (-X, 1.0)]),
    ],
)
def test_weights_that_cancel_are_refused(query: Vector | None, examples: list[Pair]) -> None:
    with pytest.raises(CancelledInterestError):
        found_of(query, examples, [])


def test_history_does_not_stand_in_for_what_cancelled() -> None:
    with pytest.raises(CancelledInterestError):
        found_of(X, [(X, -1.0)], [(Y, 1.0)])


def test_history_that_cancels_an_example_is_refused() -> None:
    with pytest.raises(CancelledInterestError):
        found_of(None, [(X, HISTORY_WEIGHT)], [(-X, 1.0)])


def test_history_alone_is_all_there_is() -> None:
    interest = only(history=[(Y, 0.2)])
    assert interest.vector == pytest.approx(Y)
    assert interest.parts[Part.HISTORY] == pytest.approx(Y)


def test_unlike_likes_stay_apart_and_like_ones_together() -> None:
    history = [
        (X, 1.0),
        (near(X, V), 1.0),
        (Y, 1.0),
        (near(X, -V), 1.0),
    ]
    first, second = found_of(None, [], history)
    assert first.vector @ X > 0.99
    assert second.vector == pytest.approx(Y)
    decay = 0.5 ** (np.arange(4) / HISTORY_HALF_LIFE)
    assert second.share == pytest.approx(decay[2] / decay.sum())


def test_there_are_not_more_interests_than_are_searched() -> None:
    found = found_of(None, [], [(vector, 1.0) for vector in (X, Y, Z, W, V)])
    assert len(found) == MAX_INTERESTS


def test_what_is_older_counts_less() -> None:
    between = [(Z, 1.0)] * (int(HISTORY_HALF_LIFE) - 1)
    found = found_of(None, [], [(X, 1.0), *between, (Y, 1.0)])
    shares = {int(interest.vector.argmax()): interest.share for interest in found}
    assert shares[1] / shares[0] == pytest.approx(0.5)


def test_history_refines_a_query() -> None:
    interest = only(X, history=[(Y, 5.0)])
    assert interest.vector[1] / interest.vector[0] == pytest.approx(HISTORY_WEIGHT)


def test_the_nearest_of_several_interests_refines_a_query() -> None:
    history = [(vector, 1.0) for vector in (Y, near(Z, X), near(Z, X), Y, Y, Y)]
    interest = only(X, history=history)
    assert interest.parts[Part.HISTORY] @ Z > 0
    assert interest.parts[Part.HISTORY] @ Y == pytest.approx(0)


def test_a_dislike_beside_a_like_pushes_away() -> None:
    assert only(history=[(X, 1.0), (Y, -1.0)]).vector[1] < 0


def test_dislikes_alone_say_nothing() -> None:
    dislikes = [(X, -1.0), (Y, -0.5)]
    assert found_of(None, [], dislikes) == ()
    assert not only(Z, history=dislikes).parts[Part.HISTORY].any()


def test_a_history_of_opposites_is_two_interests() -> None:
    found = found_of(None, [], [(X, 1.0), (-X, 1.0)])
    assert [interest.vector[0] for interest in found] == pytest.approx([1, -1])


def test_interests_come_again_from_their_directions() -> None:
    random = np.random.default_rng(4)
    vectors = random.normal(size=(30, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    history = Weighted(vectors, np.where(random.random(30) < 0.8, 1.0, -1.0))
    made, again = past_interests(history), interests_again(past_directions(history))
    assert len(again) == len(made) > 1
    for one, other in zip(made, again, strict=True):
        assert other.vector == pytest.approx(one.vector, abs=1e-6)
        assert other.parts == pytest.approx(one.parts, abs=1e-6)
        assert other.share == pytest.approx(one.share)
    assert interests_again(past_directions(Weighted(vectors[:1], np.array([-1.0])))) == ()


def test_nearness_to_likes_is_that_to_the_three_nearest_and_adds_up() -> None:
    random = np.random.default_rng(3)
    items, likes = (random.normal(size=(count, 5)).astype(np.float32) for count in (7, 6))
    parts = like_parts(items, likes, 2)
    cosines = items @ likes.T
    for item, of_item in zip(cosines, parts, strict=True):
        nearest = np.argsort(-item)[:3]
        of_examples = item[nearest[nearest < 2]].sum() / 3
        of_history = item[nearest[nearest >= 2]].sum() / 3
        assert of_item == pytest.approx([0.0, of_examples, of_history], abs=1e-5)
    assert like_parts(items, likes[:1], 0).sum(axis=1) == pytest.approx(cosines[:, 0], abs=1e-5)
    assert not like_parts(items, likes[:0], 0).any()
    assert like_parts(items[:0], likes, 0).shape == (0, 3)
