import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from server.ranking.interest import (
    HISTORY_HALF_LIFE,
    HISTORY_WEIGHT,
    CancelledInterestError,
    Interest,
    Part,
    Weighted,
    fuse,
)

Vector = NDArray[np.float32]

X, Y, Z = np.eye(3, dtype=np.float32)


def fused(
    query: Vector | None = None,
    examples: list[Weighted] | None = None,
    history: list[Weighted] | None = None,
) -> Interest:
    interest = fuse(query, examples or [], history or [])
    assert interest is not None
    return interest


@given(st.integers(0, 2**32 - 1), st.booleans(), st.integers(0, 4), st.integers(0, 4))
def test_parts_sum_to_a_unit_vector(
    seed: int, with_query: bool, examples: int, history: int
) -> None:
    random = np.random.default_rng(seed)

    def unit() -> Vector:
        vector = random.normal(size=16)
        return (vector / np.linalg.norm(vector)).astype(np.float32)

    def weighted(count: int) -> list[Weighted]:
        return [Weighted(unit(), float(random.uniform(0.1, 2))) for _ in range(count)]

    interest = fuse(unit() if with_query else None, weighted(examples), weighted(history))
    if not (with_query or examples or history):
        assert interest is None
        return
    assert interest is not None
    assert interest.parts.shape == (len(Part), 16)
    assert interest.parts.sum(axis=0) == pytest.approx(interest.vector, abs=1e-6)
    assert np.linalg.norm(interest.vector) == pytest.approx(1, abs=1e-6)
    assert bool(interest.parts[Part.QUERY].any()) == with_query
    assert bool(interest.parts[Part.EXAMPLES].any()) == bool(examples)
    assert bool(interest.parts[Part.HISTORY].any()) == bool(history)


def test_nothing_to_go_by() -> None:
    assert fuse(None, [], []) is None


def test_a_query_alone_is_the_interest() -> None:
    assert fused(X).vector == pytest.approx(X)


def test_weights_draw_in_proportion() -> None:
    interest = fused(X, [Weighted(Y, 3.0)])
    assert interest.vector == pytest.approx(np.array([1, 3, 0]) / np.sqrt(10))


def test_a_negative_example_pushes_away() -> None:
    interest = fused(X, [Weighted(Y, -1.0)])
    assert interest.vector @ Y == pytest.approx(-np.sqrt(0.5))
    assert interest.parts[Part.EXAMPLES] @ Y == pytest.approx(-np.sqrt(0.5))


@pytest.mark.parametrize(
    ("query", "examples"),
    [
        (X, [Weighted(X, -1.0)]),
        (None, [Weighted(X, 2.0), Weighted(X, -2.0)]),
        (None, [Weighted(X, 1.0), Weighted(-X, 1.0)]),
    ],
)
def test_weights_that_cancel_are_refused(query: Vector | None, examples: list[Weighted]) -> None:
    with pytest.raises(CancelledInterestError):
        fuse(query, examples, [])


def test_history_does_not_stand_in_for_what_cancelled() -> None:
    with pytest.raises(CancelledInterestError):
        fuse(X, [Weighted(X, -1.0)], [Weighted(Y, 1.0)])


def test_history_that_cancels_an_example_is_refused() -> None:
    with pytest.raises(CancelledInterestError):
        fuse(None, [Weighted(X, HISTORY_WEIGHT)], [Weighted(-X, 1.0)])


def test_history_alone_is_all_there_is() -> None:
    interest = fused(history=[Weighted(Y, 0.2)])
    assert interest.vector == pytest.approx(Y)
    assert interest.parts[Part.HISTORY] == pytest.approx(Y)


def test_history_refines_a_query() -> None:
    interest = fused(X, history=[Weighted(Y, 5.0)])
    assert interest.vector[1] / interest.vector[0] == pytest.approx(HISTORY_WEIGHT)


def test_what_is_older_counts_less() -> None:
    between = [Weighted(Z, 1.0)] * (int(HISTORY_HALF_LIFE) - 1)
    interest = fused(history=[Weighted(X, 1.0), *between, Weighted(Y, 1.0)])
    assert interest.vector[1] / interest.vector[0] == pytest.approx(0.5)


def test_a_dislike_beside_a_like_pushes_away() -> None:
    assert fused(history=[Weighted(X, 1.0), Weighted(Y, -1.0)]).vector[1] < 0


def test_dislikes_alone_say_nothing() -> None:
    dislikes = [Weighted(X, -1.0), Weighted(Y, -0.5)]
    assert fuse(None, [], dislikes) is None
    assert not fused(Z, history=dislikes).parts[Part.HISTORY].any()


def test_a_history_that_cancels_itself_says_nothing() -> None:
    decayed = 0.5 ** (1 / HISTORY_HALF_LIFE)
    assert fuse(None, [], [Weighted(X, decayed), Weighted(-X, 1.0)]) is None
