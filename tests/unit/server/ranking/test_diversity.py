import numpy as np
import pytest
from longtail.server.ranking.diversity import intra_list_diversity, pick_diverse
from numpy.typing import NDArray

Matrix = NDArray[np.float32]


def unit_rows(seed: int, n: int, dimension: int = 8) -> Matrix:
    rows = np.random.default_rng(seed).normal(size=(n, dimension))
    unit: NDArray[np.float32] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(
        np.float32
    )
    return unit


@pytest.mark.parametrize("n", [2, 3, 10, 100])
def test_is_the_mean_over_all_pairs(n: int) -> None:
    vectors = unit_rows(n, n)
    pairs = [1 - float(vectors[i] @ vectors[j]) for i in range(n) for j in range(i)]
    assert intra_list_diversity(vectors) == pytest.approx(np.mean(pairs), abs=1e-6)


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_have_none(n: int) -> None:
    assert intra_list_diversity(unit_rows(0, n)) == 0


def test_equals_have_none_and_opposites_have_two() -> None:
    x = unit_rows(0, 1)
    assert intra_list_diversity(np.repeat(x, 5, axis=0)) == pytest.approx(0, abs=1e-6)
    assert intra_list_diversity(np.concatenate([x, -x])) == pytest.approx(2, abs=1e-6)


def naive_pick(vectors: Matrix, worth: list[float], count: int, trade_off: float) -> list[int]:
    n = len(worth)
    cosine = [[float(vectors[i] @ vectors[j]) for j in range(n)] for i in range(n)]
    low, high = min(map(min, cosine)), max(map(max, cosine))
    taken: list[int] = []
    while len(taken) < count:

        def marginal(at: int) -> float:
            valued = (worth[at] - min(worth)) / (max(worth) - min(worth))
            nearest = max(((cosine[at][t] - low) / (high - low) for t in taken), default=0.0)
            return trade_off * valued - (1 - trade_off) * nearest

        taken.append(max((at for at in range(n) if at not in taken), key=marginal))
    return taken


@pytest.mark.parametrize("trade_off", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("seed", range(5))
def test_picks_what_the_definition_picks(seed: int, trade_off: float) -> None:
    vectors = unit_rows(seed, 25)
    worth = np.random.default_rng(seed + 100).uniform(size=25)
    expected = naive_pick(vectors, worth.tolist(), 10, trade_off)
    assert pick_diverse(vectors, worth, 10, trade_off) == expected


def test_worth_alone_at_one() -> None:
    worth = np.array([0.1, 0.9, 0.5])
    assert pick_diverse(unit_rows(1, 3), worth, 3, 1.0) == [1, 2, 0]


def test_a_twin_waits() -> None:
    x, y = np.eye(2, dtype=np.float32)
    assert pick_diverse(np.stack([x, x, y]), np.array([1.0, 0.9, 0.8]), 3, 0.5) == [0, 2, 1]


def test_takes_no_more_than_there_are_and_none_twice() -> None:
    vectors = np.repeat(unit_rows(0, 1), 4, axis=0)
    assert sorted(pick_diverse(vectors, np.ones(4), 9, 0.5)) == [0, 1, 2, 3]
