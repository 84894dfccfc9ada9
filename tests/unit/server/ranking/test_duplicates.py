"""Which of many vectors are the same."""

import numpy as np
import pytest
from longtail.server.ranking.duplicates import BLOCK, SAME, leaders


def unit(rows: np.ndarray) -> np.ndarray:
    found: np.ndarray = (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)
    return found


def beside(vector: np.ndarray, cosine: float, seed: int) -> np.ndarray:
    """Return a unit vector at a cosine to another."""
    other = np.random.default_rng(seed).normal(size=len(vector))
    other -= (other @ vector) * vector
    away = np.sqrt(1 - cosine**2) * other / np.linalg.norm(other)
    return unit(cosine * vector + away)


def by_comparing_all(vectors: np.ndarray) -> list[int]:
    exact = vectors.astype(np.float64)
    found: list[int] = []
    for at, vector in enumerate(exact):
        heads = (each for each in range(at) if found[each] == each)
        found.append(next((each for each in heads if exact[each] @ vector >= SAME), at))
    return found


def test_different_ones_are_no_copies() -> None:
    vectors = unit(np.random.default_rng(1).normal(size=(500, 384)))
    assert leaders(vectors).tolist() == list(range(500))
    assert leaders(vectors[:0]).tolist() == []


@pytest.mark.parametrize(("cosine", "same"), [(1.0, True), (0.9992, True), (0.9988, False)])
def test_from_a_cosine_on_they_are_the_same(cosine: float, same: bool) -> None:
    vectors = unit(np.random.default_rng(2).normal(size=(5, 384)))
    vectors[3] = beside(vectors[1], cosine, 3)
    assert leaders(vectors).tolist() == [0, 1, 2, 1 if same else 3, 4]


def test_a_copy_of_a_copy_leads_itself() -> None:
    first = unit(np.random.default_rng(4).normal(size=384))
    step = beside(first, np.cos(0.03), 5)
    # As far again in the same direction: at 0.9995 to the step, at 0.9982 to the first.
    last = unit(2 * (first @ step) * step.astype(np.float64) - first)
    assert leaders(np.stack([first, step, last])).tolist() == [0, 0, 2]


@pytest.mark.parametrize("dimension", [8, 384])
@pytest.mark.parametrize("originals", [3, 60, 700])
def test_many_are_found_as_by_comparing_all(originals: int, dimension: int) -> None:
    generator = np.random.default_rng(originals)
    some = generator.normal(size=(originals, dimension))
    drawn = some[generator.integers(originals, size=3 * BLOCK + 7)]
    vectors = unit(drawn + 0.02 * generator.normal(size=drawn.shape) / np.sqrt(dimension))
    assert leaders(vectors).tolist() == by_comparing_all(vectors)


def test_vectors_that_begin_alike_are_told_apart() -> None:
    vectors = np.zeros((300, 384), np.float32)
    vectors[np.arange(300), np.arange(84, 384)] = 1
    vectors[250] = vectors[20]
    expected = list(range(300))
    expected[250] = 20
    assert leaders(vectors).tolist() == expected
